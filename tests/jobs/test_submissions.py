from __future__ import annotations

from pathlib import Path

import pytest

from jobs.submissions import claim_submission, last_submission, submissions
from mue_model.config import ConfigError
from pipeline.storage import Storage


def test_numbers_count_up_and_are_never_used_twice(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    with pytest.raises(ConfigError, match="was never submitted"):
        last_submission(storage)
    first, second = (claim_submission(storage, run="a", address="http://h:1", spec={"n": n}) for n in (1, 2))
    assert [first.id, second.id] == ["a-1", "a-2"]
    assert submissions(storage) == [first, second]
    storage.delete(first.path)
    assert claim_submission(storage, run="a", address="http://h:1", spec={}).number == 3
    assert last_submission(storage).number == 3
    assert last_submission(storage, 2) == second
    with pytest.raises(ConfigError, match="no submission 9"):
        last_submission(storage, 9)


def test_of_two_at_once_each_has_a_number_of_its_own(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))

    class Late(Storage):
        """Sees the folder as it was before the other one came."""

        def list(self, folder: str) -> list[str]:
            return []

    first = claim_submission(storage, run="a", address="", spec={})
    second = claim_submission(Late(storage.url, storage.folder), run="a", address="", spec={})
    assert (first.number, second.number) == (1, 2)
