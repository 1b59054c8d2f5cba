"""What an audit wrote before it was stopped or refused goes, and nothing else does."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from jobs.audit_traces import delete_traces
from pipeline.local_folder import LocalFolder
from pipeline.storage import Storage, StorageError

AUDIT, OTHER = "20260101T000000-aaaaaa", "20260101T000000-aaaaab"


class Refusing(LocalFolder):
    """A folder that gives up nothing."""

    def delete(self, path: str) -> None:
        raise PermissionError(path)


def test_files_of_the_audit_go_and_those_of_others_stay(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    for attempt in (AUDIT, OTHER):
        for path in (f"audit/{attempt}.json", f"audit/{attempt}.parquet", f"metrics/{attempt}-x-1.jsonl"):
            storage.write(path, b"x")
    delete_traces(storage, AUDIT)
    left = [*storage.list("audit"), *storage.list("metrics")]
    assert left == [f"audit/{OTHER}.json", f"audit/{OTHER}.parquet", f"metrics/{OTHER}-x-1.jsonl"]
    delete_traces(Storage.open(str(tmp_path / "nothing")), AUDIT)


def test_what_cannot_be_deleted_is_named_and_hides_no_other_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Storage(str(tmp_path), Refusing(str(tmp_path)))
    storage.write(f"metrics/{AUDIT}-x-1.jsonl", b"x")
    with pytest.raises(StorageError):
        storage.delete(f"metrics/{AUDIT}-x-1.jsonl")
    with caplog.at_level(logging.WARNING):
        delete_traces(storage, AUDIT)
    assert f"what the audit {AUDIT} left could not be deleted" in caplog.text
