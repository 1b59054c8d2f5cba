"""Turns the members of one row into a `RawRow`: its image or why there is none, and its passthrough fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.passthrough import Passthrough
from pipeline.records import ErrorCode
from pipeline.tar_reader import TarMember

_SUFFIXES_SHOWN = 20
_KEY_SHOWN = 200


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a shard as read. `image` is None exactly where `error_code` is set."""

    key: str
    image: bytes | None
    image_suffix: str | None
    member_offset: int
    """Offset of the image member, or of the row's first member where there is no image member; of Parquet the row's
    number in the file; 0 in a folder."""
    meta_json: str
    read_ms: float
    error_code: ErrorCode | None = None
    error_message: str | None = None
    planned_bytes: int | None = None
    """What counts as its size where a second reading might bring another content."""

    @property
    def n_bytes(self) -> int:
        """Bytes by which tables are cut: those of the row's content, or those planned for it."""
        if self.planned_bytes is not None:
            return self.planned_bytes
        return len(self.image or b"") + len(self.meta_json.encode()) + len(self.key.encode())


class RowBuilder:
    """Takes the members of one row and holds only its image and its passthrough fields."""

    def __init__(self, key: str, suffixes: Sequence[str]) -> None:
        self.key = key
        self._rank = {suffix: rank for rank, suffix in reversed(list(enumerate(suffixes)))}
        self._image: tuple[str, TarMember] | None = None
        self._passthrough = Passthrough()
        self._first_offset: int | None = None
        self._suffixes: list[str] = []
        self._read_ms = 0.0

    def add(self, suffix: str, member: TarMember, read_ms: float) -> None:
        """Take one member; `read_ms` is the time its reading took."""
        self._read_ms += read_ms
        if self._first_offset is None:
            self._first_offset = member.offset
        if len(self._suffixes) <= _SUFFIXES_SHOWN:
            self._suffixes.append(suffix[:_KEY_SHOWN])
        if suffix in self._rank:
            self._add_image(suffix, member)
        elif member.data is None:
            self._passthrough.add_omitted(suffix, member.size)
        else:
            self._passthrough.add(suffix, member.data)

    def finish(self, *, shard_broke: bool = False) -> RawRow:
        """Return the row; `shard_broke` says that the shard could not be read to the row's end."""
        if self._image is None:
            return self._without_image(shard_broke)
        suffix, member = self._image
        failure = self._failure(member)
        return RawRow(
            key=self.key,
            image=None if failure else member.data,
            image_suffix=suffix,
            member_offset=member.offset,
            meta_json=self._passthrough.to_json(suffix, member.offset),
            read_ms=self._read_ms,
            error_code=failure[0] if failure else None,
            error_message=failure[1] if failure else None,
        )

    def _add_image(self, suffix: str, member: TarMember) -> None:
        if self._image is None:
            self._image = (suffix, member)
            return
        other = (suffix, member)
        if self._rank[suffix] < self._rank[self._image[0]]:
            self._image, other = other, self._image
        self._passthrough.add_image(other[0], other[1].size)

    def _failure(self, member: TarMember) -> tuple[ErrorCode, str] | None:
        if member.link:
            message = f"{member.name[:_KEY_SHOWN]!r} is a link, not a file; write the shard with its content instead"
            return ErrorCode.MISSING_IMAGE, message
        if member.truncated:
            return (
                ErrorCode.TRUNCATED_MEMBER,
                f"the shard ends inside {member.name[:_KEY_SHOWN]!r}, {member.size} bytes",
            )
        if member.too_large:
            return ErrorCode.MEMBER_TOO_LARGE, f"{member.name[:_KEY_SHOWN]!r} has {member.size} bytes, over the limit"
        if not member.data:
            return ErrorCode.EMPTY_IMAGE, f"{member.name[:_KEY_SHOWN]!r} has zero bytes"
        return None

    def _without_image(self, shard_broke: bool) -> RawRow:
        shown = ", ".join(self._suffixes[:_SUFFIXES_SHOWN]) + (", ..." if len(self._suffixes) > _SUFFIXES_SHOWN else "")
        message = f"row {self.key[:_KEY_SHOWN]!r} has no image member, only {shown}; wanted {', '.join(self._rank)}"
        if shard_broke:
            message += "; the shard breaks off inside this row"
        offset = self._first_offset or 0
        return RawRow(
            key=self.key,
            image=None,
            image_suffix=None,
            member_offset=offset,
            meta_json=self._passthrough.to_json(None, offset),
            read_ms=self._read_ms,
            error_code=ErrorCode.MISSING_IMAGE,
            error_message=message,
        )
