"""What shadow rows tell: exact counts, estimates that are right on average, and nothing where there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from jobs.interval import NotMeasured
from jobs.shadow_estimate import ENOUGH_SHARDS, ShadowEstimate, estimated, shadow_estimate
from jobs.shadow_sample import ShadowSample
from pipeline.actor_audit import shadow_selection
from pipeline.plan import Plan
from pipeline.records import COMMIT_SCHEMA

SHARD, OTHER = "000000-a", "000001-b"
# Of 6 and 4 layers: half of what there is, and three quarters and more.
DEPTHS = {"shallow": (3, 3, [2, 2]), "deep": (6, 5, [4, 3])}


def shadow(*, agrees: bool = True, flops: int = 1000, n_tokens: int = 2) -> dict[str, Any]:
    return {"text": "t", "n_tokens": n_tokens, "layers": [6, 6, 4, 4], "flops": flops, "agrees": agrees}


@pytest.fixture
def audited(make_job: Callable[..., Any]) -> Callable[..., Any]:
    """A job with this audit in its plan, and these rows in two shards."""

    def make(rates: dict[str, float], rows: list[dict[str, Any]], *, margin: float | None = None) -> Any:
        job = make_job()
        plan = job.plan.model_copy(update={"audit_rates": rates, "audit_margin": margin, "audit_seed": 5})
        (job.folder / "plan.json").write_bytes(Plan.model_validate(plan.model_dump()).to_json())
        for shard, own in ((SHARD, rows), (OTHER, [])):
            made = [row_of(job, shard, number, **changes) for number, changes in enumerate(own)]
            job.commit(f"a1-{shard}", *made, job.end(shard, len(own)))
        return job

    return make


def row_of(job: Any, shard: str, number: int, *, stratum: str = "shallow", **changes: Any) -> dict[str, Any]:
    image, text, decoder = DEPTHS[stratum]
    layers = {"image_layers_run": image, "text_layers_run": text, "decoder_layers_run": decoder, "n_tokens": 2}
    return job.row(shard, number, **layers, **changes)  # type: ignore[no-any-return]


def selected(job: Any, count: int, *, stratum: Any = "shallow", rates: dict[str, float]) -> list[bool]:
    rule = replace(shadow_selection(job.plan), seed=5, rates=rates)
    return [rule.selects(f"{SHARD}/{number}/0", stratum) for number in range(count)]


def estimate_of(job: Any) -> ShadowEstimate:
    found = shadow_estimate(job.ledger)
    assert isinstance(found, ShadowEstimate), found
    return found


def test_a_plan_without_an_audit_says_that_nothing_was_measured(finished: Any) -> None:
    found = shadow_estimate(finished.ledger)
    assert isinstance(found, NotMeasured)
    assert "the plan selects none" in found.reason
    assert found.document() == {"measured": False, "reason": found.reason}


def test_counts_are_exact_and_a_selected_row_without_a_shadow_is_lost(audited: Any, job: Any) -> None:
    rates = {"shallow": 0.5}
    chosen = selected(job, 40, rates=rates)
    number = chosen.index(True)
    rows = [{"shadow": shadow(agrees=n % 3 > 0) if picked and n != number else None} for n, picked in enumerate(chosen)]
    rows += [{"stratum": "deep"}] * 4

    found = estimate_of(audited(rates, rows))

    [shallow] = [each for each in found.strata if each.name == "shallow"]
    agreed = sum(picked and n % 3 > 0 and n != number for n, picked in enumerate(chosen))
    assert (shallow.rows, shallow.selected, shallow.shadowed, shallow.lost) == (40, sum(chosen), sum(chosen) - 1, 1)
    assert shallow.disagreed == sum(chosen) - 1 - agreed > 0
    assert (found.rows, found.rows_not_covered, found.lost) == (40, 4, 1)
    assert found.agreement.estimate == pytest.approx(agreed / (sum(chosen) - 1))
    assert found.agreement_if_lost_disagree.estimate == pytest.approx(agreed / sum(chosen))
    assert found.agreement.low < found.agreement.estimate < found.agreement.high
    document = found.document()
    assert (document["lost"], document["strata"][0]["lost"], document["measured"]) == (1, 1, True)


def test_a_row_counts_with_one_over_its_rate(audited: Any) -> None:
    rates = {"shallow": 0.25, "deep": 1.0}
    rows: list[dict[str, Any]] = [{"shadow": shadow(agrees=False)} for _ in range(400)]
    rows += [{"stratum": "deep", "shadow": shadow()} for _ in range(100)]
    found = estimate_of(audited(rates, rows))
    # Shallow rows differ, deep ones agree: 100 of 500 whatever the rates.
    assert found.agreement.estimate == pytest.approx(0.2, abs=0.03)
    assert found.agreement.low < 0.2 < found.agreement.high
    shares = {each.name: each.shadowed / each.rows for each in found.strata if each.rows}
    assert shares["shallow"] < 0.4
    assert shares["deep"] == 1


def test_counterfactual_savings_follow_what_full_depth_would_have_executed(audited: Any) -> None:
    # Executed 600, full depth at the same length 1,000; half of the texts would be longer, 1,200.
    rows = [{"shadow": shadow(flops=1000 + 200 * (n % 2), n_tokens=2 + n % 2)} for n in range(200)]
    found = estimate_of(audited({"shallow": 1.0}, rows))
    assert found.flops_executed == 200 * 600
    assert found.flops_full.estimate == pytest.approx(200 * 1100)
    assert found.saved_share.estimate == pytest.approx(1 - 600 / 1100)
    assert found.saved_share.low < found.saved_share.estimate < found.saved_share.high
    assert found.length_ratio.estimate == pytest.approx(2.5 / 2)


def test_savings_have_a_width_even_if_no_text_changed_its_length(audited: Any) -> None:
    found = estimate_of(audited({"shallow": 1.0}, [{"shadow": shadow()} for _ in range(300)]))
    assert found.saved_share.estimate == pytest.approx(0.4)
    # No row of 300 differs, so up to 1.22 % may, by as much again as they executed at full depth.
    assert found.flops_full.high / found.flops_full.estimate == pytest.approx(1.0122, abs=1e-4)
    assert found.saved_share.low < 0.4 < found.saved_share.high


@pytest.mark.parametrize(("disagree", "met"), [(0, True), (12, False)])
def test_a_margin_is_met_only_if_the_bound_lies_below_it(disagree: int, met: bool, audited: Any) -> None:
    rows = [{"shadow": shadow(agrees=n >= disagree)} for n in range(300)]
    found = estimate_of(audited({"shallow": 1.0}, rows, margin=0.02))
    assert (found.margin, found.margin_met) == (0.02, met)


def test_lost_rows_count_against_the_margin(audited: Any) -> None:
    rows = [{"shadow": shadow() if n >= 12 else None} for n in range(300)]
    found = estimate_of(audited({"shallow": 1.0}, rows, margin=0.02))
    assert (found.disagreed, found.lost, found.margin_met) == (0, 12, False)


@pytest.mark.parametrize(
    ("rows", "lost", "negligible"), [(300, 0, True), (300, 3, True), (300, 4, False), (50, 1, False), (1600, 12, False)]
)
def test_a_loss_is_negligible_if_it_is_small_and_within_the_interval(
    rows: int, lost: int, negligible: bool, audited: Any
) -> None:
    found = estimate_of(audited({"shallow": 1.0}, [{"shadow": shadow() if n >= lost else None} for n in range(rows)]))
    assert (found.lost, found.loss_is_negligible) == (lost, negligible)


def test_many_shards_are_clusters_and_still_many_rows(job: Any) -> None:
    rule = replace(shadow_selection(job.plan), rates={"shallow": 1.0})

    def found_in(disagree: int) -> ShadowEstimate:
        rows = [
            row_of(job, f"{shard:06d}-a", number, shadow=shadow(agrees=50 * shard + number >= disagree))
            for shard in range(ENOUGH_SHARDS)
            for number in range(50)
        ]
        sample = ShadowSample(rule)
        sample.add(pa.Table.from_pylist(rows, schema=COMMIT_SCHEMA), None)
        found = estimated(sample, margin=None)
        assert isinstance(found, ShadowEstimate)
        return found

    assert 1 - found_in(0).agreement.low == pytest.approx(0.0037, abs=1e-4), "as of 1,000 rows"
    lows = [found_in(disagree).agreement.low for disagree in (0, 1, 2, 10)]
    assert lows == sorted(lows, reverse=True)
    assert found_in(10).clustered_by == "shard"


def test_queries_of_one_image_are_one_cluster(audited: Any, make_job: Callable[..., Any]) -> None:
    job = make_job("queries")
    plan = job.plan.model_copy(update={"audit_rates": {"shallow": 1.0}})
    (job.folder / "plan.json").write_bytes(Plan.model_validate(plan.model_dump()).to_json())
    rows = [
        row_of(job, SHARD, image, query=query, uid=f"{SHARD}/{image}/{query}", shadow=shadow())
        for image in range(50)
        for query in range(6)
    ]
    job.commit("a1-0", *rows, job.end(SHARD, 50))
    found = estimate_of(job)
    assert (found.shadowed, found.clusters, found.clustered_by) == (300, 50, "image")
    alone = estimate_of(audited({"shallow": 1.0}, [{"shadow": shadow()} for _ in range(300)]))
    assert 1 - found.agreement.low > 4 * (1 - alone.agreement.low)
