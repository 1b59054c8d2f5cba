"""Shards that could not be read whole: one file each in `failures/`."""

from __future__ import annotations

import re
from typing import Literal

from mue_model.config import Config
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.records import ShardCode

_UNSAFE = re.compile(r"[^\w.-]", re.ASCII)
_LONGEST_NAME = 100


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
        # The plan's index in front keeps names apart; the rest may hold what no file name can.
        return f"failures/{_UNSAFE.sub('_', self.shard_id)[:_LONGEST_NAME]}.json"

    def to_json(self) -> bytes:
        """Return the bytes of the entry's file."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> ShardFailure:
        """Return the entry in `data`, or raise `ConfigError` saying what is wrong in `where`."""
        return parse_json(cls, data, where=where)
