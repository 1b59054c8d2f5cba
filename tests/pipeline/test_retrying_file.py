"""A file whose storage fails now and then: the same bytes, of one version, or an error with a code."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.records import ShardCode
from pipeline.retrying_file import RetryingFile
from pipeline.tar_source import ShardError

DATA = bytes(range(256)) * 4


class Flaky:
    """Storage that breaks connections at given bytes, once each, and counts how often it was opened."""

    def __init__(self, breaks: list[int], *, short: bool = False) -> None:
        self.breaks, self.short, self.opened, self.version = sorted(breaks), short, 0, "v1"

    def open_at(self, offset: int) -> Any:
        self.opened += 1
        return Connection(self, offset)


class Connection(io.BytesIO):
    def __init__(self, storage: Flaky, offset: int) -> None:
        super().__init__(DATA)
        self.seek(offset)
        self._storage = storage

    def read(self, size: int | None = -1) -> bytes:
        breaks = self._storage.breaks
        if breaks and self.tell() >= breaks[0]:
            breaks.pop(0)
            if self._storage.short:
                return b""
            raise ConnectionResetError("peer went away")
        wanted = len(DATA) if size is None or size < 0 else size
        return super().read(min(wanted, breaks[0] - self.tell()) if breaks else wanted)


def flaky_file(storage: Flaky, *, pauses: int = 4, size: int | None = len(DATA)) -> RetryingFile:
    return RetryingFile(storage.open_at, lambda: storage.version, size=size, pauses_s=(0.0,) * pauses)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(DATA)), max_size=6, unique=True), st.integers(1, 300), st.booleans())
def test_broken_connections_change_no_byte(breaks: list[int], chunk: int, short: bool) -> None:
    breaks = [at for at in breaks if at < len(DATA)]
    storage = Flaky(list(breaks), short=short)
    with flaky_file(storage) as file:
        parts = []
        while part := file.read(chunk):
            parts.append(part)
    assert b"".join(parts) == DATA
    assert storage.opened == 1 + len(breaks), "a connection is made anew once for each break"


def test_it_can_seek_without_asking_storage() -> None:
    storage = Flaky([])
    with flaky_file(storage) as file:
        assert file.seek(-10, os.SEEK_END) == len(DATA) - 10
        assert file.read(4) == DATA[-10:-6]
        assert file.seek(-2, os.SEEK_CUR) == file.tell() == len(DATA) - 8
        file.seek(3)
        assert file.readall() == DATA[3:]
        assert (file.seekable(), file.readable()) == (True, True)
    assert storage.opened == 1


def test_of_unknown_size_it_is_read_forward_only() -> None:
    with flaky_file(Flaky([5]), size=None) as file:
        assert not file.seekable()
        assert io.BufferedReader(file).read() == DATA
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0)


def test_storage_that_stays_away_is_an_error_with_the_byte() -> None:
    storage = Flaky([100] * 50)
    with flaky_file(storage, pauses=3) as file:
        assert file.read(500) == DATA[:100]
        with pytest.raises(
            ShardError, match=r"reading failed at byte 100: ConnectionResetError: peer went away"
        ) as caught:
            file.read(1)
    assert caught.value.code is ShardCode.UNREADABLE
    assert storage.opened == 4


@pytest.mark.parametrize("error", [PermissionError("denied"), FileNotFoundError("gone")])
def test_a_refusal_is_not_asked_again(error: Exception) -> None:
    class Refusing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise error

    opened = []
    file = RetryingFile(lambda at: opened.append(at) or Refusing(), lambda: "v1", size=5, pauses_s=(0.0,) * 5)
    with pytest.raises(ShardError, match=str(error)):
        file.read(1)
    assert opened == [0]


def test_another_version_is_never_mixed_in() -> None:
    storage = Flaky([100])
    with flaky_file(storage) as file:
        assert file.read(500) == DATA[:100]
        storage.version = "v2"
        with pytest.raises(ShardError, match="version v1, now v2") as caught:
            file.read(1)
    assert caught.value.code is ShardCode.CHANGED
