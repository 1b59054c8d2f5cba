"""Shards in the layout of img2dataset, each complete or not there at all."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mue_model.corpus.row import Row, facts_as_json
from mue_model.corpus.settings import CorpusError

SUFFIX_OF_PARTS = ".partial"
"""Files with this suffix are left behind by a killed process; the next one removes them."""

_COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("url", "caption", "key", "status", "error_message")),
        *((name, pa.int32()) for name in ("width", "height", "original_width", "original_height")),
        *((name, pa.string()) for name in ("exif", "sha256", "license", "license_url", "attribution")),
        *((name, pa.string()) for name in ("split", "part", "family")),
        ("level", pa.int32()),
        ("references", pa.list_(pa.string())),
    ]
)


def shard_path(folder: Path, shard: int) -> Path:
    """Return where the tar of a shard is; it is there only when the shard is complete."""
    return folder / f"{shard:05d}.tar"


def write_shard(folder: Path, shard: int, rows: Iterable[Row]) -> None:
    """Write `00000.parquet`, `00000_stats.json` and at last `00000.tar`: the same bytes for the same rows.

    Raises:
        CorpusError: something could not be written; the shard is not there.
    """
    tar = shard_path(folder, shard)
    buffer = io.BytesIO()
    records = []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for row in rows:
            members = {"jpg": row.jpg, "txt": row.caption.encode(), "json": facts_as_json(row.facts)}
            for suffix, data in members.items():
                member = tarfile.TarInfo(f"{row.key}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            records.append({name: row.facts[name] for name in _COLUMNS.names})
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records, schema=_COLUMNS), table)
    appear(folder / f"{shard:05d}.parquet", table.getvalue())
    appear(folder / f"{shard:05d}_stats.json", _stats(len(records)))
    appear(tar, buffer.getvalue())


def appear(path: Path, content: bytes) -> None:
    """Write a file that is never to be seen half-written.

    Raises:
        CorpusError: it could not be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX_OF_PARTS}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise CorpusError(f"{path} cannot be written: {error.strerror or error}") from error


def _stats(count: int) -> bytes:
    """Return img2dataset's statistics; times are 0, for a shard is a function of its settings alone."""
    facts = {
        "count": count,
        "successes": count,
        "failed_to_download": 0,
        "failed_to_resize": 0,
        "duration": 0.0,
        "start_time": 0.0,
        "end_time": 0.0,
        "status_dict": {"success": count},
    }
    return json.dumps(facts, indent=1).encode() + b"\n"
