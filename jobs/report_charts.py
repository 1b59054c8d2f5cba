"""Static SVG charts of a report. Widths are shares of the page, so that text keeps its size on any screen.

Colours are classes of the page's style sheet: the same chart serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_BAR, _LINE = 22, 16
"""Heights in pixels: a bar, a line of text."""
_FARTHEST = 1.5
"""Where a whisker ends at the latest, in full depths: a range that says nothing must not squeeze the bars."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a whole."""

    name: str
    count: int
    style: str
    """`accent`, `good`, `bad`, `quiet`."""


def stacked(parts: Sequence[Part], *, what: str) -> Markup:
    """Return one bar cut into parts; what they are is in a legend beside the chart, which a page writes itself."""
    total = sum(part.count for part in parts)
    if not total:
        return Markup("")
    drawn, left = [], 0.0
    for part in parts:
        width = 100 * part.count / total
        if part.count:
            # A part of a millionth must still be seen.
            place = f'x="{left:.3f}%" y="0" width="{max(width, 0.4):.3f}%" height="{_BAR}"'
            title = f"<title>{escape(part.name)}: {part.count:,}</title>"
            drawn.append(f'<rect class="{escape(part.style)}" {place}>{title}</rect>')
        left += width
    said = ", ".join(f"{part.count:,} {part.name}" for part in parts)
    return _svg(drawn, _BAR, f"{what}: {said}")


def columns(by_depth: Mapping[int, int], layers: int, *, what: str) -> Markup:
    """Return how many rows ran how many layers, a column for each of 1..`layers`."""
    total, highest = sum(by_depth.values()), max(by_depth.values(), default=0)
    if not highest:
        return Markup("")
    first = min(1, *by_depth)
    depths = range(first, max(layers, *by_depth) + 1)
    width, plot = 100 / len(depths), 96
    every = -(-len(depths) // 12)
    drawn = []
    for place, depth in enumerate(depths):
        count = by_depth.get(depth, 0)
        height = max(plot * count / highest, 1 if count else 0)
        middle, top = width * (place + 0.5), _LINE + plot - height
        drawn.append(
            f'<rect class="accent" x="{width * (place + 0.14):.2f}%" y="{top:.1f}" width="{width * 0.72:.2f}%" '
            f'height="{height:.1f}" rx="2"><title>{depth} layers: {count:,} ({_percent(count, total)})</title></rect>'
        )
        if len(depths) <= 12 and count:
            drawn.append(_text(middle, top - 4, _percent(count, total), "value"))
        if place % every == 0:
            drawn.append(_text(middle, plot + 2 * _LINE, str(depth), "label"))
    drawn.append(f'<line class="axis" x1="0" x2="100%" y1="{_LINE + plot}" y2="{_LINE + plot}"/>')
    said = ", ".join(f"{depth} layers {_percent(count, total)}" for depth, count in sorted(by_depth.items()))
    return _svg(drawn, plot + 2 * _LINE + 6, f"{what}: {said}")


def heat(steps: Sequence[Mapping[int, int]], layers: int, *, what: str) -> Markup:
    """Return, a line for each decoding step, how its tokens share out over 1..`layers`: the darker, the more."""
    if not steps or not any(steps):
        return Markup("")
    margin = 13.0
    width = (100 - margin) / layers
    drawn = [
        _text(margin + width * (depth - 0.5), 12, str(depth), "label")
        for depth in range(1, layers + 1)
        if (depth - 1) % (-(-layers // 12)) == 0
    ]
    for number, by_depth in enumerate(steps):
        total, top = sum(by_depth.values()), _LINE + number * _BAR
        drawn.append(_text(margin - 2, top + 15, str(number + 1), "label end"))
        for depth in range(1, layers + 1):
            count = by_depth.get(depth, 0)
            share = count / total if total else 0.0
            left = margin + width * (depth - 1)
            place = f'x="{left:.2f}%" y="{top}" width="{width * 0.96:.2f}%" height="{_BAR - 2}"'
            title = f"<title>word piece {number + 1}, {depth} layers: {count:,} of {total:,}</title>"
            drawn.append(f'<rect class="cell" {place}/>')
            drawn.append(f'<rect class="accent heat" fill-opacity="{share:.3f}" {place}>{title}</rect>')
            if layers <= 12 and share >= 0.005:
                drawn.append(_text(left + width * 0.48, top + 14, f"{100 * share:.0f}", "value"))
    means = [sum(depth * count for depth, count in by.items()) / max(1, sum(by.values())) for by in steps]
    said = ", ".join(f"step {number + 1}: {mean:.2f}" for number, mean in enumerate(means))
    return _svg(drawn, _LINE + len(steps) * _BAR, f"{what}, mean layers {said}")


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A share of full depth, with the range that it may lie in where it was estimated."""

    name: str
    value: float | None
    """None: not measured."""
    low: float | None = None
    high: float | None = None


def ratios(rows: Sequence[Ratio], *, what: str) -> Markup:
    """Return a bar for each ratio against full depth, which is the line at 100 %; of unknown ones only the name."""
    known = [max(row.value, min(row.high or 0.0, _FARTHEST)) for row in rows if row.value is not None]
    longest = max([1.0, *known])
    scale = 84 / longest
    drawn = []
    for number, row in enumerate(rows):
        top = number * (_BAR + _LINE + 10)
        drawn.append(_text(0, top + 12, row.name, "label start"))
        if row.value is None:
            drawn.append(f'<rect class="unknown" x="0" y="{top + _LINE + 2}" width="{scale:.2f}%" height="{_BAR}"/>')
            drawn.append(_text(1, top + _LINE + 17, "not measured", "value start"))
            continue
        width = scale * row.value
        drawn.append(f'<rect class="accent" x="0" y="{top + _LINE + 2}" width="{width:.2f}%" height="{_BAR}" rx="2"/>')
        end = width
        if row.low is not None and row.high is not None:
            low, high = (min(max(bound, 0.0), longest) for bound in (row.low, row.high))
            end = max(width, scale * high)
            middle = top + _LINE + 2 + _BAR / 2
            drawn.append(
                f'<line class="whisker" x1="{scale * low:.2f}%" x2="{scale * high:.2f}%" y1="{middle}" y2="{middle}"/>'
            )
        drawn.append(_text(end + 1, top + _LINE + 17, f"{100 * row.value:.1f} %", "value start"))
    height = len(rows) * (_BAR + _LINE + 10)
    drawn.append(f'<line class="full" x1="{scale:.2f}%" x2="{scale:.2f}%" y1="0" y2="{height}"/>')
    said = ", ".join(f"{r.name} {'not measured' if r.value is None else f'{100 * r.value:.1f} %'}" for r in rows)
    return _svg(drawn, height, f"{what}: {said}")


def _svg(drawn: Sequence[str], height: float, said: str) -> Markup:
    # All that is not ours is escaped by now.
    opening = f'<svg class="chart" width="100%" height="{height:.0f}" role="img" aria-label="{escape(said)}">'
    return Markup(f"{opening}{''.join(drawn)}</svg>")


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.2f}%" y="{y:.1f}">{escape(text)}</text>'


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def strip(depths: Sequence[int], layers: int) -> Markup:
    """Return a small column for each decoded token, as high as its layers of `layers`."""
    if not depths:
        return Markup("")
    height, width = 28, 100 / max(len(depths), 12)
    drawn = [f'<line class="axis" x1="0" x2="{width * len(depths):.2f}%" y1="0.5" y2="0.5"/>']
    for number, depth in enumerate(depths):
        tall = height * min(1.0, depth / layers)
        place = f'x="{number * width:.2f}%" y="{height - tall:.1f}" width="{width * 0.8:.2f}%" height="{tall:.1f}"'
        drawn.append(f'<rect class="accent" {place}><title>{depth} of {layers} layers</title></rect>')
    return _svg(drawn, height, f"layers of each piece: {', '.join(map(str, depths))}")
