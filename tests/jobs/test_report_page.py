"""The page, with everything measured."""

from __future__ import annotations

import datetime
import json
import math
import re
from dataclasses import replace
from importlib import resources
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
            source="run", attempt=None, audits=0, rule_from="plan", seed=7, strata=(stratum,),
            clustered_by="shard", clusters=2,
            agreement=_interval(0.875), agreement_if_lost_disagree=_interval(0.777), flops_executed=600,
            flops_full=Interval(estimate=1000, low=900, high=1100), saved_share=_interval(0.41),
            length_ratio=_interval(1.02), margin=0.01, margin_from="plan", margin_met=False,
        ),
        time=TimingWindows(source="run", windows=(_WINDOW,), time_ratio=_interval(0.7), saved_share=_interval(0.3)),
    )  # fmt: skip
    return report_document(finished.ledger, found, verify(finished.ledger), [], _FACTORS, made=_NOW)


def test_every_number_has_its_range_and_stays_apart(document: dict[str, Any]) -> None:
    page = report_page(document, {}).replace("&nbsp;", " ")
    for text in ("40.0 %", "41.0 %", "30.0 %", "40.0 % to 42.0 %", "29.0 % to 31.0 %", "87.5 %", "86.50 % to 88.50 %"):
        assert text in page, text
    # Of time 30 % was spared, so the bar is 70 % of full depth.
    assert ">70.0 %</text>" in page
    assert "Not shown to be kept" in page
    assert "1 chosen rows have no result at full depth" in page
    assert "Time is spared less than arithmetic, by 10.0 points" in page


def test_a_limit_named_after_the_run_is_not_one_declared_beforehand(document: dict[str, Any]) -> None:
    assert "Declared beforehand: at most" in report_page(document, {})
    later = {"source": "audit", "audits": 2, "rule_from": "audit", "margin_from": "audit"}
    later = document["savings"]["b_counterfactual"] | later
    document = document | {"savings": document["savings"] | {"b_counterfactual": later}}
    page = report_page(document, {}).replace("&nbsp;", " ")
    assert "Declared beforehand" not in page
    assert "Named with the audit, after the run: at most" in page
    for text in (page, report_markdown(document)):
        assert "the latest of 2 audits" in text


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


def _luminance(colour: tuple[float, ...]) -> float:
    """Of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _palettes() -> dict[str, dict[str, str]]:
    text = (resources.files("jobs") / "report.html.j2").read_text("utf-8")
    found = re.findall(r":root\{([^}]*)\}", text)
    assert len(found) == 3
    palettes = [dict(re.findall(r"--(\w+):([^;]+)", block)) for block in found]
    return dict(zip(("light", "dark", "print"), palettes, strict=True))


def _rgb(value: str) -> tuple[float, ...]:
    digits = value.removeprefix("#")
    pairs = [c * 2 for c in digits] if len(digits) == 3 else re.findall("..", digits)
    return tuple(int(pair, 16) / 255 for pair in pairs)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_every_text_can_be_read_on_what_is_behind_it(theme: str) -> None:
    palette = _palettes()[theme]
    colours = {name: _rgb(value) for name, value in palette.items() if value.startswith("#")}
    heat = float(palette["heat"])
    # A cell of the heat map at its darkest.
    colours["hot"] = tuple(
        heat * over + (1 - heat) * under for over, under in zip(colours["accent"], colours["cell"], strict=True)
    )
    behind = {
        "ink": ("bg", "surface", "tint", "cell", "hot"),
        "soft": ("bg", "surface", "cell"),
        "accent": ("bg", "surface"),
        "good": ("bg", "surface"),
        "bad": ("bg", "surface"),
    }
    for text, grounds in behind.items():
        for ground in grounds:
            assert _contrast(colours[text], colours[ground]) >= 4.5, (theme, text, ground)
