"""What `mue audit` says, as words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from typer.testing import Result

from jobs.audit_view import agreement_lines, window_lines
from jobs.interval import Interval, NotMeasured
from jobs.shadow_estimate import ShadowEstimate
from jobs.shadow_sample import ShadowStratum
from jobs.timing_windows import TimingWindows, Window

Mue = Callable[..., Result]


def test_a_plan_gives_rows_and_rates_and_says_where_to_declare_them(mue: Mue) -> None:
    result = mue("audit", "plan", "--margin", "0.5pp", "--power", "0.9", "--rows", "100000")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()][1] == ["0", "%", "598", "0.0068"]
    assert "--set audit.margin=0.005 --set audit.rate=RATE" in result.stderr
    document = json.loads(mue("audit", "plan", "--margin", "0.5pp", "--json").stdout)
    assert (document["margin"], document["needs"][0]) == (
        0.005,
        {"truth": 0.0, "rows": 598, "rate": None, "enough": True},
    )


def test_a_plan_takes_its_rows_from_a_job(finished: Any, mue: Mue) -> None:
    result = mue("audit", "plan", "--margin", "50pp", "--truth", "0", "--output", finished.folder, "--json")
    assert json.loads(result.stdout)["rows"] == 10
    assert "not enough rows: 10" in mue("audit", "plan", "--margin", "5pp", "-o", finished.folder).stdout


def test_what_cannot_be_audited_is_refused(job: Any, mue: Mue) -> None:
    for arguments, said in (
        (("plan", "--margin", "much"), "expected a share such as 0.5pp"),
        (("run", job.folder), "the job is not finished"),
        (("run", job.folder / "nowhere"), "no job here"),
    ):
        result = mue("audit", *arguments)
        assert result.exit_code == 2, result.stderr
        assert said in result.stderr


def test_findings_are_told_with_their_range_and_their_gaps() -> None:
    share = Interval(estimate=0.98, low=0.97, high=0.99)
    stratum = ShadowStratum(name="deep", rate=0.1, rows=1000, selected=100, shadowed=97, disagreed=2)
    bare = ShadowStratum(name="full", rate=0.0, rows=50, selected=0, shadowed=0, disagreed=0)
    found = ShadowEstimate(
        source="audit", attempt="a2", audits=1, rule_from="audit", seed=0, strata=(stratum, bare),
        clustered_by="image", clusters=97, agreement=share,
        agreement_if_lost_disagree=share, flops_executed=1, flops_full=share, saved_share=share, length_ratio=share,
        margin=0.01, margin_from="audit", margin_met=False,
    )  # fmt: skip
    lines = dict(agreement_lines(found))
    assert lines["shadow rows"] == "97 of 1,000 ok rows, 3 lost, measured afterwards"
    assert lines["same answer at full depth"] == "98.00 % (97.00 to 99.00); 2 differ"
    assert lines["not covered"] == "50 ok rows of strata with rate 0"
    assert lines["margin"] == "fewer than 1 % differ: not shown (95 %, one-sided), named after the run"
    assert agreement_lines(NotMeasured(reason="why")) == [("agreement", "not measured: why")]


def test_a_single_window_is_told_without_a_range() -> None:
    window = Window(
        attempt="a", actor="x", number=0, first="exits", rows=40, rows_distinct=40, rows_in_flight=10, exits_s=7,
        full_s=10, drain_s=0, warm_s=0, device="cpu",
    )  # fmt: skip
    alone = TimingWindows(source="run", windows=(window,), time_ratio=None, saved_share=None)
    assert window_lines(alone) == [("measured time saved", "30 % in a single window, so no interval")]
