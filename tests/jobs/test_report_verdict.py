from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobs.interval import Interval, NotMeasured
from jobs.report_verdict import percent, verdict
from jobs.savings import Savings, savings
from jobs.shadow_estimate import ShadowEstimate, ShadowStratum
from jobs.timing_windows import TimingWindows, Window


def _interval(estimate: float) -> Interval:
    return Interval(estimate=estimate, low=estimate - 0.01, high=estimate + 0.01)


def estimate(**changes: Any) -> ShadowEstimate:
    """A shadow audit of 300 rows."""
    stratum = ShadowStratum(name="medium", rate=0.5, rows=600, selected=301, shadowed=300, disagreed=4)
    facts: dict[str, Any] = {
        "source": "run",
        "attempt": None,
        "audits": 0,
        "rule_from": "plan",
        "seed": 7,
        "strata": (stratum,),
        "clustered_by": "image",
        "clusters": 300,
        "agreement": _interval(0.98),
        "agreement_if_lost_disagree": _interval(0.97),
        "flops_executed": 600,
        "flops_full": Interval(estimate=1000, low=900, high=1100),
        "saved_share": _interval(0.4),
        "length_ratio": _interval(1.02),
        "margin": 0.05,
        "margin_from": "plan",
        "margin_met": True,
    }
    return ShadowEstimate(**(facts | changes))


def windows(exits_s: float = 6.0, *, saved: Interval | None = None) -> TimingWindows:
    """One window, and the interval that several would have."""
    window = Window(
        attempt="a1", actor="x", number=0, first="exits", rows=64, rows_distinct=64, rows_in_flight=16,
        exits_s=exits_s, full_s=10.0, drain_s=1.0, warm_s=1.0, device="cpu",
    )  # fmt: skip
    return TimingWindows(source="run", windows=(window,), time_ratio=None, saved_share=saved)


@pytest.fixture
def found(finished: Any) -> Savings:
    return savings(finished.ledger)


def _text(found: Savings, **settings: Any) -> str:
    said = verdict(found, finished=settings.pop("finished", True), caveat=settings.pop("caveat", None))
    return " ".join([said.headline, *said.sentences])


def test_the_headline_has_all_overheads_and_the_audit_beside_them(found: Savings) -> None:
    # 9 rows of 600 of 1,000; each with 10 of checks and 7 of padding, and 3 of the row that failed.
    assert verdict(found, finished=True, caveat=None).headline.startswith("Stopping early spared 38.3 %")
    audited = replace(found, total=replace(found.total, flops_shadow=9 * 500))
    assert "spared 38.3 % of the model's arithmetic; the audit of it cost 50.0 %" in _text(audited)
    assert "every other overhead, this run did 11.7 % more arithmetic than full depth" in _text(audited)
    costly = replace(found, total=replace(found.total, flops_checks=9 * 1000))
    assert "cost more than it spared: 60.7 % more" in _text(costly)
    assert "spared nothing" in _text(replace(found, total=replace(found.total, flops_executed=9000 - 9 * 17 - 3)))


def test_what_was_not_measured_is_said_with_what_to_run(found: Savings) -> None:
    unknown = replace(
        found, counterfactual=NotMeasured(reason="run 'mue audit run'"), time=NotMeasured(reason="no windows")
    )
    said = verdict(unknown, finished=True, caveat=None)
    assert [card.value is None for card in said.cards] == [False, True, True, True]
    assert [card.range for card in said.cards[1:]] == ["run 'mue audit run'", "no windows", "run 'mue audit run'"]
    assert "Whether answers changed was not checked" in _text(unknown)
    assert "Whether it saved time was not measured" in _text(unknown)


def test_three_numbers_stay_apart_each_with_its_range(found: Savings) -> None:
    measured = replace(found, counterfactual=estimate(), time=windows())
    cards = {card.letter: card for card in verdict(measured, finished=True, caveat=None).cards}
    assert [cards[letter].value for letter in "abc"] == ["40.0 %", "40.0 %", "40.0 %"]
    assert "exact" in cards["a"].range
    assert cards["b"].range == "39.0 % to 41.0 %, with 95% confidence"
    assert "no interval" in cards["c"].range
    assert cards[""].value == "98.0 %"
    assert "296 of 300" in cards[""].says
    assert "1 chosen rows have no result" in cards[""].says
    assert "if all of those differed, 97.0 % would agree (96.0 % to 98.0 %, with 95% confidence)" in cards[""].says
    assert all(card.boundary for card in cards.values())


def test_a_margin_is_kept_missed_or_absent(found: Savings) -> None:
    for changes, said in (
        ({}, "the limit declared beforehand, 5.0 %, is shown to be kept"),
        ({"margin_from": "audit"}, "the limit named after the run, 5.0 %, is shown to be kept"),
        ({"margin_met": False}, "is not shown to be kept"),
        ({"margin": None, "margin_met": None}, "no limit was declared beforehand"),
    ):
        assert said in _text(replace(found, counterfactual=estimate(**changes)))


def test_rows_chosen_after_the_run_are_said_to_be(found: Savings) -> None:
    for changes, said in (
        ({}, "chosen by a rule fixed before the run."),
        ({"source": "audit"}, "in an audit after the run, chosen by a rule fixed before it."),
        ({"source": "audit", "rule_from": "audit", "audits": 3}, "in the latest of 3 audits after the run."),
    ):
        measured = replace(found, counterfactual=estimate(**changes))
        assert verdict(measured, finished=True, caveat=None).cards[1].says.endswith(said)


def test_time_is_claimed_only_where_the_interval_leaves_no_doubt(found: Savings) -> None:
    for seconds, saved, said, headline in (
        (11.0, _interval(-0.1), "took 10.0 % more time", " but took 10.0 % more time"),
        (6.0, _interval(0.4), "took 40.0 % less time", " and took 40.0 % less time"),
        (6.0, Interval(estimate=0.4, low=-8, high=8.8), "leave open whether any was saved", ", overheads included"),
        (6.0, None, "leave open whether any was saved", ", overheads included"),
    ):
        measured = replace(found, time=windows(seconds, saved=saved))
        assert said in _text(measured)
        assert verdict(measured, finished=True, caveat=None).headline == (
            "Stopping early spared 38.3 % of the model's arithmetic" + headline
        )
        card = verdict(measured, finished=True, caveat=None).cards[2]
        assert card.clear == ("leave open" not in said)
        assert "880" not in card.range


def test_unfinished_jobs_and_models_that_mean_nothing_are_said_first_and_last(found: Savings) -> None:
    said = verdict(found, finished=False, caveat="model 'seeded' is untrained").sentences
    assert said[0].startswith("The job is not finished")
    assert said[-1] == "Model 'seeded' is untrained."
    assert "9 of 10 rows were answered; 1 were not, and count as no saving" in said[1]


def test_a_job_without_an_answer_claims_nothing(job: Any) -> None:
    said = verdict(savings(job.ledger), finished=False, caveat=None)
    assert "nothing to compare" in said.headline
    assert all(card.value is None for card in said.cards)


def test_shares_in_words() -> None:
    assert (percent(None), percent(-0.00001), percent(0.12345, 2)) == ("unknown", "0.0 %", "12.35 %")


def test_overheads_that_are_not_all_known_make_the_saving_one_at_most(found: Savings) -> None:
    known = replace(found, discarded=replace(found.discarded, flops=100))
    assert "at most" not in _text(known)
    lost = replace(found, discarded=replace(found.discarded, flops=100, files_unreadable=2))
    said = verdict(lost, finished=True, caveat=None)
    assert said.headline.startswith("Stopping early spared at most 37.2 % of the model's arithmetic")
    assert "2 files of rows computed once more than they count are gone or cannot be read" in _text(lost)
    assert said.cards[0].says.startswith("At most 37.2 % with every overhead")
    spent = replace(found, discarded=replace(found.discarded, flops=10000, files_unreadable=1))
    assert "cost more than it spared: at least 72.8 % more arithmetic" in _text(spent)
    audited = replace(lost, total=replace(lost.total, flops_shadow=900))
    assert "this run did at most 27.2 % less arithmetic than full depth" in _text(audited)
