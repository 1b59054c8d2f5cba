from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    "run",
    ["../../jobs/victim", "x" * 100_000, "A", "", "a\n", "a-", "-a", "a/b", "a?x=1", "a%2f", 7, None],
    ids=lambda run: repr(run)[:20],
)
def test_a_name_that_mue_gives_to_no_job_is_refused_in_a_short_line(tmp_path: Path, run: Any) -> None:
    storage = Storage.open(str(tmp_path))
    found = claim_submission(storage, run="a", address="http://h:1", spec={})
    storage.write(found.path, storage.read(found.path).replace(b'"run": "a"', b'"run": ' + json.dumps(run).encode()))
    with pytest.raises(ConfigError, match=r"submissions/0001.json: run = ") as refused:
        last_submission(storage)
    assert len(str(refused.value)) < 600


def test_a_records_number_is_that_of_its_file(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    found = claim_submission(storage, run="a", address="http://h:1", spec={})
    for path in ("submissions/0002.json", "submissions/00001.json", "submissions/1.json", "submissions/000\u0661.json"):
        storage.write(path, storage.read(found.path))
        with pytest.raises(ConfigError, match=rf"{path}: number = 1: .* delete it"):
            submissions(storage)
        storage.delete(path)
    assert submissions(storage) == [found]
    storage.write(
        "submissions/9999999999.json", storage.read(found.path).replace(b'"number": 1', b'"number": 9999999999')
    )
    with pytest.raises(ConfigError, match="number = 9999999999"):
        submissions(storage)


def test_of_two_at_once_each_has_a_number_of_its_own(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))

    class Late(Storage):
        """Sees the folder as it was before the other one came."""

        def list(self, folder: str) -> list[str]:
            return []

    first = claim_submission(storage, run="a", address="http://h:1", spec={})
    second = claim_submission(Late(storage.url, storage.folder), run="a", address="http://h:1", spec={})
    assert (first.number, second.number) == (1, 2)
