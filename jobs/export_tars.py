"""WebDataset tars with a job's texts: one per shard, alone under the input's keys or beside the input's own members.

Texts meet their images by uid, which counts images as the reader does; equal keys in one shard stay apart.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from jobs.export import RowsWanted
from jobs.ordered_rows import OrderedRows
from mue_model.config import ConfigError
from pipeline.ledger import Ledger
from pipeline.parquet_file import is_parquet
from pipeline.plan import Plan, PlannedShard
from pipeline.records import RowStatus
from pipeline.row_grouping import RowGrouping, split_name
from pipeline.shard_change import change_since
from pipeline.shard_open import open_shard
from pipeline.tar_reader import TarMember, read_members
from pipeline.tar_source import ShardError

TEXT, FACTS = "mue.txt", "mue.json"
"""Suffixes of what is added; an input's own `txt` stays what it is."""
_END = bytes(2 * tarfile.BLOCKSIZE)
_MAX_MEMBER_BYTES = 4 << 30
_SHOWN = ("uid", "query", "task", "prompt", "text", "label", "status", "error_code", "finish_reason")
_COLUMNS = ["uid", "key", *_SHOWN]


@dataclass(frozen=True, kw_only=True)
class TarsWritten:
    """What an export to tars left."""

    files: int
    images: int
    repeated_keys: int
    """Images whose key an earlier image of the same shard has too."""
    broken: tuple[str, ...]
    """Input shards that break off: what came before is there."""


def write_tars(ledger: Ledger, folder: str, *, beside: bool, status: RowsWanted = "ok") -> TarsWritten:
    """Write `<folder>/<name of the shard>.tar` for every shard; each appears whole or not at all.

    `KEY.mue.txt` has the text of an image with one query, `KEY.mue.json` what is known of each query. Images without
    an answer are left out unless `status` is `all`. With `beside` the input's members stand before them, byte for byte.

    Raises:
        ConfigError: The folder cannot be written, or with `beside` an input is no tar, cannot be read or has changed.
    """
    plan = ledger.plan()
    target = Path(folder).expanduser().absolute()
    rows = OrderedRows(ledger, _COLUMNS)
    images = repeated = 0
    broken: list[str] = []
    if beside:
        _check_inputs(plan)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for shard, name in zip(plan.shards, _file_names(plan), strict=True):
            temporary = target / f".{name}.part"
            keys: Counter[str] = Counter()
            try:
                with temporary.open("wb") as tar:
                    answered = rows.images_of(shard.shard_id)
                    try:
                        for key, members in _beside(shard, answered, status) if beside else _alone(answered, status):
                            for suffix, data in members:
                                _put(tar, f"{key}.{suffix}", data)
                            keys[key] += 1
                    except ShardError as error:
                        broken.append(f"{shard.url}: {error}")
                    tar.write(_END)
                temporary.replace(target / name)
            finally:
                temporary.unlink(missing_ok=True)
            images += keys.total()
            repeated += keys.total() - len(keys)
    except OSError as error:
        raise ConfigError(f"--to {folder}: cannot be written: {error.strerror or error}") from error
    return TarsWritten(files=len(plan.shards), images=images, repeated_keys=repeated, broken=tuple(broken))


_Image = tuple[str, list[tuple[str, bytes]]]
"""Key of an image, and its members by suffix."""


def _alone(images: Iterable[list[dict[str, Any]]], status: RowsWanted) -> Iterator[_Image]:
    for rows in images:
        if members := _added(rows, status):
            yield rows[0]["key"], members


def _beside(shard: PlannedShard, images: Iterator[list[dict[str, Any]]], status: RowsWanted) -> Iterator[_Image]:
    rows = next(images, None)
    with open_shard(shard.url) as stream:
        members = read_members(stream, max_member_bytes=_MAX_MEMBER_BYTES)
        for number, (key, own) in enumerate(_grouped(members)):
            if rows is None or rows[0]["row_in_shard"] != number:
                continue  # not committed yet
            if rows[0]["key"] != key:
                raise ConfigError(
                    f"{shard.url}: image {number} has the key {key!r}, but {rows[0]['uid']} says {rows[0]['key']!r}: "
                    "the shard is not the one that the job read"
                )
            if added := _added(rows, status):
                yield key, [*own, *added]
            rows = next(images, None)


def _grouped(members: Iterator[TarMember]) -> Iterator[_Image]:
    """The members of one image after another, as the job's reader counts images; those of none are passed over."""
    grouping = RowGrouping()
    key, own = "", list[tuple[str, bytes]]()
    for member in members:
        parts = split_name(member.name)
        if parts is None:
            continue
        if grouping.begins_row(*parts):
            if own or key:
                yield key, own
            key, own = parts[0], []
        if member.data is not None:
            # In the spelling that it has: what follows the key and its dot.
            own.append((member.name[len(parts[0]) + 1 :], member.data))
    if own or key:
        yield key, own


def _added(rows: Sequence[dict[str, Any]], status: RowsWanted) -> list[tuple[str, bytes]]:
    """What is known of an image's queries, as members; none where nothing is wanted of it."""
    wanted = [row for row in rows if status == "all" or row["status"] == RowStatus.OK]
    if not wanted:
        return []
    facts = [{name: row[name] for name in _SHOWN} for row in wanted]
    members = [(FACTS, (json.dumps(facts, ensure_ascii=False) + "\n").encode())]
    if len(rows) == 1 and rows[0]["status"] == RowStatus.OK:
        members.insert(0, (TEXT, (rows[0]["text"] or "").encode()))
    return members


def _put(tar: BinaryIO, name: str, data: bytes) -> None:
    """Append a member. `TarFile` would keep a record of each in memory until the end."""
    # No time of writing: equal exports are equal files.
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
    tar.write(data)
    tar.write(bytes(-len(data) % tarfile.BLOCKSIZE))


def _file_names(plan: Plan) -> list[str]:
    """The inputs' own names; where two have the same, all are called by shard_id."""
    stems = [posixpath.basename(shard.url.split("?")[0].rstrip("/")).split(".", 1)[0] for shard in plan.shards]
    distinct = all(stems) and len(set(stems)) == len(stems)
    return [f"{stem if distinct else shard.shard_id}.tar" for stem, shard in zip(stems, plan.shards, strict=True)]


def _check_inputs(plan: Plan) -> None:
    """Every input is a tar that is as it was planned."""
    for shard in plan.shards:
        if shard.files is not None or is_parquet(shard.url):
            raise ConfigError(f"{shard.url} is no tar, so nothing can stand beside its members; leave --beside out")
        if (change := change_since(shard.url, shard.size, shard.etag, moment="now")) is not None:
            raise ConfigError(f"{shard.url}: {change.message}; leave --beside out to have the texts alone")
