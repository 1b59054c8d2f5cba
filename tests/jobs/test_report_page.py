"""The page, with everything measured."""

from __future__ import annotations

import datetime
import json
import math
from dataclasses import replace
from typing import Any

import pytest

from jobs.footprint_factors import Factor, FootprintFactors, Ratio
from jobs.interval import Interval
from jobs.report_document import report_document
from jobs.report_markdown import escaped, report_markdown
from jobs.report_page import report_page
from jobs.savings import savings
from jobs.shadow_estimate import ShadowEstimate, ShadowStratum
from jobs.thumbnails import Thumbnail
from jobs.timing_windows import TimingWindows, Window
from jobs.verify import verify

_DAY = datetime.date(2026, 11, 28)
_NOW = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
_FACTORS = FootprintFactors(
    power_w=Factor(value=100, source="a meter", date=_DAY), pue=Ratio(value=1, source="a desk", date=_DAY)
)

_WINDOW = Window(
    attempt="a1", actor="x", number=0, first="exits", rows=64, rows_distinct=64, rows_in_flight=16,
    exits_s=7.0, full_s=10.0, drain_s=1.0, warm_s=1.0, device="cpu",
)  # fmt: skip


def _interval(estimate: float) -> Interval:
    return Interval(estimate=estimate, low=estimate - 0.01, high=estimate + 0.01)


@pytest.fixture
def document(finished: Any) -> dict[str, Any]:
    """A report of a job with a shadow audit, windows, and a measured time."""
    run = {"attempts": [{"attempt": "a1", "wall_s": 36.0, "rows": 10, "cores": 2, "memory_gib": 8, "exit_code": 0}]}
    finished.ledger.storage.write("run.json", json.dumps(run).encode())
    stratum = ShadowStratum(name="medium", rate=1.0, rows=9, selected=9, shadowed=8, disagreed=1)
    found = replace(
        savings(finished.ledger),
        counterfactual=ShadowEstimate(
            source="run", attempt=None, seed=7, strata=(stratum,), clustered_by="shard", clusters=2,
            agreement=_interval(0.875), agreement_if_lost_disagree=_interval(0.777), flops_executed=600,
            flops_full=Interval(estimate=1000, low=900, high=1100), saved_share=_interval(0.41),
            length_ratio=_interval(1.02), margin=0.01, margin_met=False,
        ),
        time=TimingWindows(source="run", windows=(_WINDOW,), time_ratio=_interval(0.7), saved_share=_interval(0.3)),
    )  # fmt: skip
    return report_document(finished.ledger, found, verify(finished.ledger), [], _FACTORS, made=_NOW)


def test_every_number_has_its_range_and_stays_apart(document: dict[str, Any]) -> None:
    page = report_page(document, {}).replace("&nbsp;", " ")
    for text in ("40.0 %", "41.0 %", "30.0 %", "40.0 % to 42.0 %", "29.0 % to 31.0 %", "87.5 %", "86.50 % to 88.50 %"):
        assert text in page, text
    assert "Not shown to be kept" in page
    assert "1 chosen rows have no result at full depth" in page
    assert "Time is spared less than arithmetic, by 10.0 points" in page


def test_a_range_without_a_bound_is_null_and_no_error(finished: Any) -> None:
    endless = Interval(estimate=0.3, low=-math.inf, high=1.0)
    window = TimingWindows(source="run", windows=(_WINDOW,), time_ratio=endless, saved_share=endless)
    found = replace(savings(finished.ledger), time=window)
    document = report_document(finished.ledger, found, verify(finished.ledger), [], _FACTORS, made=_NOW)
    assert document["savings"]["c_time"]["saved_share"]["low"] is None
    json.dumps(document, allow_nan=False)
    assert "too unsteady" in report_page(document, {})
    assert "too unsteady" in report_markdown(document)


def test_markdown_has_the_same_figures(document: dict[str, Any]) -> None:
    markdown = report_markdown(document).replace("\\", "")
    for text in ("40.0 %", "41.0 %", "30.0 %", "87.5 %", "5,400", "0.001 kWh", "a meter"):
        assert text in markdown, text


def test_footprint_has_source_and_date_and_what_is_missing(document: dict[str, Any]) -> None:
    page = report_page(document, {})
    assert "a meter" in page
    assert "2026-11-28" in page
    assert "0.001 kWh" in page
    assert "unknown: no grid_g_per_kwh stated" in page


def test_pictures_are_embedded_with_a_name(document: dict[str, Any]) -> None:
    shot = {
        "group": "disagree", "uid": "000000-a/0/0", "key": "k", "prompt": "p", "answer": "two cats", "text": "two cats",
        "full_depth": "two dogs", "difference": 0.5, "image_layers_run": 2, "text_layers_run": None,
        "decoder_layers_run": [1, 4],
    }  # fmt: skip
    picture = Thumbnail(data_uri="data:image/jpeg;base64,AAAA", width=8, height=9)
    page = report_page(document | {"gallery": [shot]}, {"000000-a/0/0": picture})
    assert 'src="data:image/jpeg;base64,AAAA" width="8" height="9" alt="Input picture of row 000000-a/0/0"' in page
    assert "two dogs" in page
    same = report_page(document | {"gallery": [shot | {"full_depth": "two cats", "difference": 0.0}]}, {})
    assert "the same</span>" in same
    assert "no picture" in same
    # The same words in another order are another text.
    turned = report_page(document | {"gallery": [shot | {"full_depth": "cats two", "difference": 0.0}]}, {})
    assert "cats two" in turned


def test_markdown_of_hostile_texts_is_text() -> None:
    assert escaped("a|b\n# c `d` [e](http://f) <b>&amp;") == (r"a\|b \# c \`d\` \[e\]\(http://f\) &lt;b\>&amp;amp;")
