"""What a job will read, fixed before it starts: `plan.json`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import fsspec
from pydantic import Field

from mue_model.config import Config
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.errors import some
from pipeline.file_version import local_version, stored_version
from pipeline.folder_images import FileRun
from pipeline.folder_plan import runs_of_folder
from pipeline.identity import shard_id_of
from pipeline.row_totals import RowCount, RowSource
from pipeline.shadow_strata import Stratum
from pipeline.shard_urls import PlanError, expand_urls, is_local
from pipeline.spec import FieldsConfig

__all__ = ["Plan", "PlanError", "PlannedShard", "expand_urls", "plan_shards"]

PLAN_VERSION = 3
_LOOKUPS = 32
"""Lookups and counts at a time."""


class PlannedShard(Config):
    """One shard as it was when the job was planned."""

    shard_id: str
    url: str
    size: int = Field(ge=0)
    """Size in bytes."""
    etag: str
    """The store's own version token; of a local file its modification time and size, of a folder's files a digest."""
    files: FileRun | None = None
    """Which images of the folder `url` it is; None of tars and Parquet files."""
    rows: int | None = Field(default=None, ge=0)
    """Rows, where they are known. What a job proves about itself never rests on them: only reading tells."""
    rows_from: RowSource | None = None
    """How they are known."""


class Plan(Config):
    """`Plan` v3: equal plans have equal bytes."""

    schema_version: Literal[3] = 3
    shards: tuple[PlannedShard, ...]
    fingerprint: str
    """Digest of everything that changes results."""
    fingerprint_parts: dict[str, Any]
    """What the fingerprint was made of."""
    audit_seed: int
    """Seed of the keyed hash that selects shadow rows."""
    audit_rates: dict[Stratum, float]
    """Share of rows to shadow, by stratum of recorded depth; those that are left out are not shadowed."""
    audit_margin: float | None = None
    """Share of rows whose answer may differ from full depth's, as declared before the run."""
    audit_windows: int = Field(default=0, ge=0)
    """Timing windows of each model process."""
    fields: FieldsConfig
    """Which member of a row holds what."""

    def to_json(self) -> bytes:
        """Return the bytes of `plan.json`."""
        return canonical_json(self.model_dump(mode="json"), indent=1)

    @classmethod
    def from_json(cls, data: bytes, *, where: str = "plan.json") -> Plan:
        """Return the plan in `data`, or raise `ConfigError` saying what is wrong in `where`."""
        return parse_json(cls, data, where=where)


@dataclass(frozen=True)
class _Found:
    size: int
    etag: str


def plan_shards(
    urls: Iterable[str],
    *,
    suffixes: tuple[str, ...] = FieldsConfig().image_suffixes,
    count_rows: Callable[[str], RowCount | None] | None = None,
) -> tuple[PlannedShard, ...]:
    """Return every shard of `urls` (already expanded) with its size and version, in order.

    Args:
        urls: One URL per tar, Parquet file or folder of images, as `expand_urls` gives them.
        suffixes: Which files of a folder are images.
        count_rows: Called once per file, from several threads, with its URL; None stands for unknown.

    Raises:
        PlanError: Shards are missing or cannot be looked at; all are found before it is raised.
    """
    urls = list(urls)
    with ThreadPoolExecutor(_LOOKUPS) as pool:
        lookups = [None if is_local(url) else pool.submit(_look_up, url) for url in urls]
        found = [_stat(url) if lookup is None else lookup.result() for url, lookup in zip(urls, lookups, strict=True)]
        _raise_for_missing(urls, found)
        counts = [
            pool.submit(count_rows, url) if count_rows is not None and isinstance(facts, _Found) else None
            for url, facts in zip(urls, found, strict=True)
        ]
        shards: list[PlannedShard] = []
        for url, facts, count in zip(urls, found, counts, strict=True):
            if isinstance(facts, _Found):
                rows = count.result() if count is not None else None
                shards.append(_file_shard(len(shards), url, facts, rows))
            else:
                shards += _folder_shards(len(shards), url, suffixes)
    return tuple(shards)


def _file_shard(index: int, url: str, facts: _Found, count: RowCount | None) -> PlannedShard:
    return PlannedShard(
        shard_id=shard_id_of(index, url),
        url=url,
        size=facts.size,
        etag=facts.etag,
        rows=count.rows if count else None,
        rows_from=count.source if count else None,
    )


def _folder_shards(first_index: int, url: str, suffixes: tuple[str, ...]) -> Iterator[PlannedShard]:
    for index, counted in enumerate(runs_of_folder(url, suffixes), first_index):
        yield PlannedShard(
            shard_id=shard_id_of(index, url),
            url=url,
            size=counted.n_bytes,
            etag=counted.run.digest,
            files=counted.run,
            rows=counted.rows,
            rows_from="listed",
        )


def look_up_shard(url: str) -> tuple[int, str]:
    """Return the size and version token of a tar or Parquet file as they are now, or raise `PlanError`."""
    facts = _stat(url) if is_local(url) else _look_up(url)
    _raise_for_missing([url], [facts if facts is not None else "is a folder"])
    assert isinstance(facts, _Found)
    return facts.size, facts.etag


def _stat(url: str) -> _Found | str | None:
    """Size and version of a local file, or why there is none; None of a folder."""
    try:
        url.encode()
        facts = os.stat(url)
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except FileNotFoundError:
        return "not found"
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    if stat.S_ISDIR(facts.st_mode):
        return None
    if not stat.S_ISREG(facts.st_mode):
        return "not a file"
    if not os.access(url, os.R_OK):
        return "no permission to read"
    return _Found(facts.st_size, local_version(facts))


def _look_up(url: str) -> _Found | str | None:
    """Size and version of an object, or why there is none; None of a folder."""
    if url.startswith(("http://", "https://")) and url.endswith("/"):
        return None
    try:
        # A remembered listing would show the shard as it was, not as it is.
        fs, path = fsspec.url_to_fs(url, use_listings_cache=False)
        facts = fs.info(path)
    except FileNotFoundError as error:
        # So fsspec calls whatever goes wrong over http: a server that is down, a refusal, a redirect without end.
        cause = error.__cause__
        if cause is None or not url.startswith("http") or getattr(cause, "status", None) in (404, 410):
            return "not found"
        return f"{type(cause).__name__}: {cause}"
    except Exception as error:
        # Object stores raise their client library's own types, which have no common base.
        return f"{type(error).__name__}: {error}"
    if facts.get("type") == "directory":
        return None
    if facts.get("size") is None:
        return "the server does not say its size"
    return _Found(int(facts["size"]), stored_version(facts))


def _raise_for_missing(urls: Sequence[str], found: Sequence[_Found | str | None]) -> None:
    problems = [f"{url} ({why})" for url, why in zip(urls, found, strict=True) if isinstance(why, str)]
    if problems:
        raise PlanError(
            f"{len(problems)} of {len(urls)} shards cannot be read: {some(problems)}; "
            "check the paths, or leave these shards out"
        )
