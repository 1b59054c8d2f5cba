"""Shards that could not be read whole: one file each in `failures/`."""

from __future__ import annotations

from typing import Literal

from mue_model.config import Config
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.records import ShardCode


class ShardFailure(Config):
    """Why a shard is bad. Its good rows are committed all the same."""

    schema_version: Literal[1] = 1
    shard_id: str
    code: ShardCode
    message: str
    url: str
    attempts: int
    """How often the shard was read."""

    @property
    def path(self) -> str:
        """Where the entry lies in the output folder."""
        return f"failures/{self.shard_id}.json"

    def to_json(self) -> bytes:
        """Return the bytes of the entry's file."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> ShardFailure:
        """Return the entry in `data`, or raise `ConfigError` saying what is wrong in `where`."""
        return parse_json(cls, data, where=where)
