from __future__ import annotations

from typing import Any

import pytest

from jobs.failures import failure_line, failures_of
from mue_model.config import ConfigError


@pytest.fixture
def with_failures(job: Any) -> Any:
    job.commit("a1-0-0", job.failed_row("000000-a", 0), job.failed_row("000000-a", 1, "missing_image"))
    job.commit_bad_shard("000001-b")
    return job


def test_bad_shards_and_failed_rows_are_listed(with_failures: Any) -> None:
    found = list(failures_of(with_failures.ledger))
    assert [(failure.kind, failure.id, failure.code) for failure in found] == [
        ("shard", "000001-b", "truncated"),
        ("row", "000000-a/0/0", "corrupt_image"),
        ("row", "000000-a/1/0", "missing_image"),
    ]
    assert found[0].attempts == 2
    assert found[1].stage == "decode"


@pytest.mark.parametrize(("code", "ids"), [("missing_image", ["000000-a/1/0"]), ("truncated", ["000001-b"])])
def test_a_code_selects(with_failures: Any, code: str, ids: list[str]) -> None:
    assert [failure.id for failure in failures_of(with_failures.ledger, code=code)] == ids


def test_an_unknown_code_names_the_nearest(with_failures: Any) -> None:
    with pytest.raises(ConfigError, match=r"--code 'missing_imag': unknown code, did you mean 'missing_image'\?"):
        failures_of(with_failures.ledger, code="missing_imag")


def test_a_line_stays_one_line(with_failures: Any) -> None:
    lines = [failure_line(failure) for failure in failures_of(with_failures.ledger)]
    assert not any("\n" in line for line in lines)
    assert "cut short" in lines[1]
    assert [" x2" in line for line in lines] == [True, False, False], "how often it was tried"


def test_names_from_a_tar_cannot_command_the_terminal(job: Any) -> None:
    job.commit("a1-0-0", {**job.failed_row("000000-a", 0), "key": "\x1b[2Jx", "error_message": "a\x07b\rc"})
    (failure,) = failures_of(job.ledger)
    assert failure_line(failure).isprintable()
