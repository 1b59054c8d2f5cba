"""The manifest: written last, it names every file that a finished job consists of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mue_model.config import Config
from pipeline.canonical_json import canonical_json, digest_of, parse_json
from pipeline.receipts import Part


class FileDigest(Config):
    """A file's content, by size and SHA-256."""

    bytes: int = Field(ge=0)
    sha256: str


def file_digest(data: bytes) -> FileDigest:
    """Return the digest of a file's content."""
    return FileDigest(bytes=len(data), sha256=digest_of(data))


class Manifest(Config):
    """`Manifest` v1: its rows are every input row exactly once. Equal outputs have equal manifests."""

    schema_version: Literal[1] = 1
    fingerprint: str
    rows: int = Field(ge=0)
    """Rows of all live parts together."""
    shards: int = Field(ge=0)
    """Shards of the plan."""
    parts: tuple[Part, ...]
    """Live parts; files in data/ that are not named here do not count."""
    files: dict[str, FileDigest]
    """Every other file it vouches for: plan, run, receipts, failures, audit, metrics."""

    def to_json(self) -> bytes:
        """Return the bytes of `manifest.json`."""
        return canonical_json(self.model_dump(mode="json"), indent=1)

    @classmethod
    def from_json(cls, data: bytes, *, where: str = "manifest.json") -> Manifest:
        """Return the manifest in `data`, or raise `ConfigError` saying what is wrong in `where`."""
        return parse_json(cls, data, where=where)
