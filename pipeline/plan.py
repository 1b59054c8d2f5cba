"""What a job will read, fixed before it starts: `plan.json`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import fsspec
from pydantic import Field

from mue_model.config import Config
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.errors import some
from pipeline.identity import shard_id_of
from pipeline.shard_urls import PlanError, expand_urls, is_local
from pipeline.spec import FieldsConfig

__all__ = ["Plan", "PlanError", "PlannedShard", "expand_urls", "plan_shards"]

PLAN_VERSION = 1
_LOOKUPS = 32
"""Object-store lookups at a time."""


class PlannedShard(Config):
    """One shard as it was when the job was planned."""

    shard_id: str
    url: str
    size: int = Field(ge=0)
    """Size in bytes."""
    etag: str
    """The store's own version token; of a local file its modification time and size."""
    rows: int | None = Field(default=None, ge=0)
    """Rows, if they were counted."""


class Plan(Config):
    """`Plan` v1: equal plans have equal bytes."""

    schema_version: Literal[1] = 1
    shards: tuple[PlannedShard, ...]
    fingerprint: str
    """Digest of everything that changes results."""
    fingerprint_parts: dict[str, Any]
    """What the fingerprint was made of."""
    audit_seed: int
    """Seed of the keyed hash that selects shadow rows."""
    audit_rates: dict[str, float]
    """Share of rows to shadow, by stratum."""
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
    urls: Iterable[str], *, count_rows: Callable[[str], int | None] | None = None
) -> tuple[PlannedShard, ...]:
    """Return every shard of `urls` (already expanded) with its size and version, in order.

    Args:
        urls: One URL per shard, as `expand_urls` gives them.
        count_rows: Called once per shard with its URL; None stands for unknown.

    Raises:
        PlanError: Shards are missing or cannot be looked at; all are found before it is raised.
    """
    urls = list(urls)
    with ThreadPoolExecutor(_LOOKUPS) as pool:
        lookups = [None if is_local(url) else pool.submit(_look_up, url) for url in urls]
        found = [_stat(url) if lookup is None else lookup.result() for url, lookup in zip(urls, lookups, strict=True)]
    _raise_for_missing(urls, found)
    return tuple(
        PlannedShard(
            shard_id=shard_id_of(index, url),
            url=url,
            size=facts.size,
            etag=facts.etag,
            rows=count_rows(url) if count_rows is not None else None,
        )
        for index, (url, facts) in enumerate(zip(urls, found, strict=True))
        if isinstance(facts, _Found)
    )


def look_up_shard(url: str) -> tuple[int, str]:
    """Return a shard's size and version token as they are now, or raise `PlanError`."""
    facts = _stat(url) if is_local(url) else _look_up(url)
    _raise_for_missing([url], [facts])
    assert isinstance(facts, _Found)
    return facts.size, facts.etag


def _stat(url: str) -> _Found | str:
    """Size and version of a local file, or why there is none."""
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
    if not os.path.isfile(url):
        return "not a file"
    if not os.access(url, os.R_OK):
        return "no permission to read"
    return _Found(facts.st_size, f"{facts.st_mtime_ns}-{facts.st_size}")


_VERSION_KEYS = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "Last-Modified", "LastModified", "mtime")


def _look_up(url: str) -> _Found | str:
    """Size and version of an object, or why there is none."""
    try:
        # A remembered listing would show the shard as it was, not as it is.
        fs, path = fsspec.url_to_fs(url, use_listings_cache=False)
        facts = fs.info(path)
    except FileNotFoundError:
        return "not found"
    except Exception as error:
        # Object stores raise their client library's own types, which have no common base.
        return f"{type(error).__name__}: {error}"
    if facts.get("type") == "directory":
        return "not a file"
    if facts.get("size") is None:
        return "the server does not say its size"
    token = next((str(facts[key]).strip('"') for key in _VERSION_KEYS if facts.get(key)), f"size-{facts['size']}")
    return _Found(int(facts["size"]), token)


def _raise_for_missing(urls: list[str], found: list[_Found | str]) -> None:
    problems = [f"{url} ({why})" for url, why in zip(urls, found, strict=True) if isinstance(why, str)]
    if problems:
        raise PlanError(
            f"{len(problems)} of {len(urls)} shards cannot be read: {some(problems)}; "
            "check the paths, or leave these shards out"
        )
