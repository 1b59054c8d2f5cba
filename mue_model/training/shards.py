"""Rows out of the tars of a corpus, in order, and a digest of all of them."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

from mue_model.model_folder import file_digest
from mue_model.training.settings import TrainingError

Members = dict[str, bytes]
"""The files of one row by their extension."""


def shards_of(folder: Path) -> list[Path]:
    """Return the shards of `folder` by name; raise `TrainingError` if there is none."""
    shards = sorted(folder.glob("*.tar"))
    if not shards:
        raise TrainingError(f"{folder} holds no shards (*.tar); 'mue corpus' makes some")
    return shards


def corpus_digest(folder: Path) -> str:
    """Return a SHA-256 over names and contents of all shards of `folder`."""
    digest = hashlib.sha256()
    for shard in shards_of(folder):
        digest.update(f"{shard.name} {file_digest(shard)}\n".encode())
    return digest.hexdigest()


def rows_of(shard: Path) -> Iterator[tuple[str, Members]]:
    """Yield key and members of each row; neighbours that share the name up to its first dot are one row."""
    current, members = "", Members()
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, _, name = member.name.rpartition("/")
                stem, _, extension = name.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if key != current and members:
                    yield current, members
                    members = {}
                stream = tar.extractfile(member)
                current, members[extension] = key, stream.read() if stream else b""
    except (tarfile.TarError, OSError) as error:
        raise TrainingError(f"{shard} cannot be read after row '{current}': {error}") from error
    if members:
        yield current, members
