"""What is worth another try, and how often."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.local_folder import LocalFolder
from pipeline.patience import PAUSES_S, patiently
from pipeline.storage import Storage, StorageError


class EndpointConnectionError(Exception):
    """As botocore's, which is no OSError."""


class Refused(Exception):
    def __init__(self, status: int) -> None:
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


@dataclass(frozen=True)
class FlakyFolder(LocalFolder):
    """A local folder whose first writes fail."""

    failures: list[Exception] = field(default_factory=list)

    def write(self, path: str, data: bytes) -> None:
        if self.failures:
            raise self.failures.pop()
        super().write(path, data)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., tuple[bytes, list[float]]]:
    """Write a file to storage that fails so; return the file and the pauses."""

    def write(*failures: Exception) -> tuple[bytes, list[float]]:
        storage, pauses = Storage(str(tmp_path), FlakyFolder(str(tmp_path), list(failures))), list[float]()
        patiently(lambda: storage.write("x", b"data"), sleep=pauses.append)
        return storage.read("x"), pauses

    return write


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.EBUSY, "slow down"),
        OSError(errno.ESTALE, "stale file handle"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        TimeoutError(),
        EndpointConnectionError(),
        Refused(503),
    ],
)
def test_storage_that_was_busy_or_away_is_asked_again(
    written: Callable[..., tuple[bytes, list[float]]], failure: Exception
) -> None:
    data, pauses = written(failure, failure)
    assert data == b"data"
    assert len(pauses) == 2
    assert pauses[0] < pauses[1] * 2


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "full"), PermissionError(errno.EACCES, "no"), Refused(403), ValueError("no")]
)
def test_what_waiting_does_not_mend_is_said_at_once(
    written: Callable[..., tuple[bytes, list[float]]], failure: Exception
) -> None:
    with pytest.raises(StorageError):
        written(failure)


def test_patience_ends(written: Callable[..., tuple[bytes, list[float]]]) -> None:
    with pytest.raises(StorageError, match="overloaded"):
        written(*[OSError(errno.EBUSY, "slow down")] * (len(PAUSES_S) + 1))
