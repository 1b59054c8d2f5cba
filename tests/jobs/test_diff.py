from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.diff import COUNTS, diff, difference
from mue_model.config import ConfigError
from pipeline.receipts import LedgerError

S = "000000-a"


def test_every_row_of_either_job_is_in_one_count(make_job: Any) -> None:
    a, b = make_job("a"), make_job("b")
    # Parts and their order differ: rows meet by what they are.
    a.commit("1", *(a.row(S, n, text="two cats") for n in (0, 2, 4)), a.failed_row(S, 5))
    a.commit("2", a.row(S, 1), a.failed_row(S, 3), a.row(S, 6), a.failed_row(S, 8))
    b.commit("9", b.row(S, 4, text="two dogs"), b.failed_row(S, 6), b.row(S, 1), b.row(S, 7), b.failed_row(S, 8))
    b.commit("1", b.row(S, 0, text="two cats"), b.row(S, 2, text="a house"), b.row(S, 5))
    found = diff(a.ledger, b.ledger)
    assert found.rows == dict(zip(COUNTS, (2, 2, 1, 1, 1, 1, 1, 0), strict=True))
    assert found.agreement == 0.5
    assert [(change.uid_a, change.answer_a, change.answer_b) for change in found.changes] == [
        (f"{S}/2/0", "two cats", "a house"),
        (f"{S}/4/0", "two cats", "two dogs"),
    ]
    assert [change.difference for change in found.changes] == [1.0, 0.5]
    # Costs are those of the rows that both answered.
    assert found.a.flops_executed == found.b.flops_executed == 4 * 600


def test_the_most_changed_are_kept_and_of_equals_the_first(make_job: Any) -> None:
    a, b = make_job("a"), make_job("b")
    a.commit("1", *(a.row(S, n, text="one two") for n in range(9)))
    b.commit("1", *(b.row(S, n, text="six" if n in (5, 7) else "one six") for n in range(9)))
    assert [change.uid_a for change in diff(a.ledger, b.ledger, most=3).changes] == [f"{S}/{n}/0" for n in (5, 7, 0)]


def test_labels_are_compared_for_entailment(make_job: Any) -> None:
    a, b = make_job("a", task="entailment"), make_job("b", task="entailment")
    both = {"task": "entailment", "text": "words that do not matter"}
    a.commit("1", a.row(S, 0, label="neutral", **both), a.row(S, 1, label="neutral", **both))
    b.commit("1", b.row(S, 0, label="entailment", **both), b.row(S, 1, label="neutral", **both))
    found = diff(a.ledger, b.ledger)
    assert (found.rows["same"], found.rows["changed"]) == (1, 1)
    assert (found.changes[0].answer_a, found.changes[0].answer_b) == ("neutral", "entailment")


def test_another_image_under_the_same_uid_is_refused(make_job: Any) -> None:
    a, b = make_job("a"), make_job("b")
    a.commit("1", a.row(S, 0, image_sha256="1"), a.row(S, 1))
    b.commit("1", b.row(S, 0, image_sha256="2"), b.row(S, 1, image_sha256="3"))
    with pytest.raises(LedgerError, match=f"1 rows are not about the same image.*{S}/0/0 .another image"):
        diff(a.ledger, b.ledger)
    found = diff(a.ledger, b.ledger, common=True)
    assert (found.rows["other_question"], found.compared) == (1, 1)


def test_jobs_of_two_tasks_are_refused(make_job: Any) -> None:
    with pytest.raises(ConfigError, match=r"is of task 'caption', .* of 'vqa'"):
        diff(make_job("a").ledger, make_job("b", task="vqa").ledger)


def test_what_was_set_differently_is_named(make_job: Any) -> None:
    found = diff(make_job("a").ledger, make_job("b", untrained=False).ledger)
    assert found.settings == ("model.untrained: true -> false",)
    assert found.agreement is None


_words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map(" ".join)


@given(_words, _words)
def test_difference_is_symmetric_and_zero_for_the_same_words(one: str, other: str) -> None:
    assert difference(one, other) == difference(other, one)
    assert 0 <= difference(one, other) <= 1
    assert (difference(one, other) == 0) == (sorted(one.split()) == sorted(other.split()))
