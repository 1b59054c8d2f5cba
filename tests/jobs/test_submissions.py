from __future__ import annotations

import json
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


@pytest.mark.parametrize("address", ["os://h:1", "ray://h:1", "auto", "http://h'; true '", "http://h:1\n", ""])
def test_an_address_is_a_plain_url_of_a_job_server(tmp_path: Path, address: str) -> None:
    storage = Storage.open(str(tmp_path))
    with pytest.raises(ConfigError, match="address"):
        claim_submission(storage, run="a", address=address, spec={})
    found = claim_submission(storage, run="a", address="http://h:1", spec={})
    storage.write(found.path, storage.read(found.path).replace(b'"http://h:1"', json.dumps(address).encode()))
    with pytest.raises(ConfigError, match=r"submissions/0001.json: address"):
        last_submission(storage)


def test_of_two_at_once_each_has_a_number_of_its_own(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))

    class Late(Storage):
        """Sees the folder as it was before the other one came."""

        def list(self, folder: str) -> list[str]:
            return []

    first = claim_submission(storage, run="a", address="http://h:1", spec={})
    second = claim_submission(Late(storage.url, storage.folder), run="a", address="http://h:1", spec={})
    assert (first.number, second.number) == (1, 2)
