from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from jobs.report_charts import Part, Ratio, columns, heat, ratios, stacked, strip


def _widths(svg: str, style: str) -> list[float]:
    rects = ET.fromstring(svg).iter("rect")
    return [float(rect.attrib["width"].rstrip("%")) for rect in rects if rect.attrib["class"] == style]


def _texts(svg: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).iter("text")]


def test_a_stacked_bar_shares_out_its_width_and_shows_the_smallest_part() -> None:
    parts = [Part(name="ok", count=3_000_000, style="good"), Part(name="failed", count=1, style="bad")]
    svg = stacked(parts, what="rows")
    assert _widths(svg, "good") == [pytest.approx(100, abs=0.01)]
    assert _widths(svg, "bad")[0] >= 0.4
    assert "3,000,000 ok, 1 failed" in ET.fromstring(svg).attrib["aria-label"]


def test_columns_are_as_high_as_their_share() -> None:
    svg = columns({2: 10, 6: 30}, 6, what="picture")
    heights = [float(rect.attrib["height"]) for rect in ET.fromstring(svg).iter("rect")]
    assert [round(height) for height in heights] == [0, 32, 0, 0, 0, 96]
    assert "25 %" in _texts(svg)
    assert "75 %" in _texts(svg)


def test_heat_has_a_line_for_each_step() -> None:
    svg = heat([{1: 3, 2: 1}, {2: 4}], 2, what="steps")
    opacities = [float(r.attrib["fill-opacity"]) for r in ET.fromstring(svg).iter("rect") if "fill-opacity" in r.attrib]
    assert opacities == [0.75, 0.25, 0.0, 1.0]


def test_what_was_not_measured_has_no_bar() -> None:
    svg = ratios([Ratio(name="a", value=0.5), Ratio(name="c", value=None)], what="x")
    assert len(_widths(svg, "accent")) == 1
    assert "not measured" in _texts(svg)
    assert "0.0 %" not in _texts(svg)


def _whisker(svg: str) -> list[float]:
    [line] = [line for line in ET.fromstring(svg).iter("line") if line.attrib["class"] == "whisker"]
    return [float(line.attrib[end].rstrip("%")) for end in ("x1", "x2")]


def test_more_than_full_depth_stays_on_the_page() -> None:
    svg = ratios([Ratio(name="a", value=1.4, low=1.3, high=1.45)], what="x")
    assert _widths(svg, "accent")[0] < 84
    assert _whisker(svg) == [pytest.approx(84 * 1.3 / 1.45, abs=0.01), pytest.approx(84)]


def test_a_range_that_says_nothing_does_not_squeeze_the_bars() -> None:
    svg = ratios([Ratio(name="a", value=0.9, low=-7.0, high=9.0)], what="x")
    assert _whisker(svg) == [0, pytest.approx(84)]
    assert _widths(svg, "accent")[0] == pytest.approx(84 * 0.9 / 1.5, abs=0.01)


def test_names_cannot_become_markup() -> None:
    hostile = '"><script>alert(1)</script>'
    for svg in (
        stacked([Part(name=hostile, count=1, style="good")], what=hostile),
        ratios([Ratio(name=hostile, value=0.1)], what=hostile),
    ):
        assert "<script" not in svg
        ET.fromstring(svg)


def test_nothing_to_draw_is_nothing() -> None:
    assert not stacked([Part(name="ok", count=0, style="good")], what="x")
    assert not columns({}, 6, what="x")
    assert not heat([], 6, what="x")
    assert not strip([], 6)


def test_a_strip_has_a_column_for_each_token() -> None:
    heights = [float(rect.attrib["height"]) for rect in ET.fromstring(strip([3, 6], 6)).iter("rect")]
    assert heights == [14, 28]
