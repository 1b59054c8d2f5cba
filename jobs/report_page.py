"""A report as one HTML page that needs no network and runs no script. Whatever comes from inputs is escaped."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from jobs.report_charts import Part, Ratio, columns, heat, ratios, stacked, strip
from jobs.report_verdict import percent
from jobs.report_words import GROUPS, SECONDS, WORDS, gap, quantity, ranged, ratio, seconds, short
from jobs.summary_view import flops
from jobs.terminal import printable
from jobs.thumbnails import Thumbnail
from pipeline.identity import is_local


def report_page(document: Mapping[str, Any], pictures: Mapping[str, Thumbnail]) -> str:
    """Return the page of a `report_document`, with pictures of the gallery's rows by uid."""
    encoder, decoder = document["savings"]["encoder_layers"] or 1, document["savings"]["decoder_layers"] or 1
    tasks = {task["task"]: task for task in document["savings"]["tasks"]}
    charts = {
        "rows": _rows(document["rows"]),
        "ratios": _ratios(document["savings"]),
        "image": {
            name: columns(_counts(task["image_by_depth"]), encoder, what="picture") for name, task in tasks.items()
        },
        "text": {name: columns(_counts(task["text_by_depth"]), encoder, what="prompt") for name, task in tasks.items()},
        "steps": {
            name: heat([_counts(step["by_depth"]) for step in task["steps"]], decoder, what="pieces of words")
            for name, task in tasks.items()
        },
    }
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            doc=document,
            pictures=pictures,
            charts=charts,
            strips={shot["uid"]: strip(shot["decoder_layers_run"], decoder) for shot in document["gallery"]},
            words=WORDS,
            seconds=SECONDS,
            groups=GROUPS,
            gap=gap(document),
            local=is_local(document["output"]),
        )
    )


def _environment() -> Environment:
    def source(name: str) -> str:
        return (resources.files("jobs") / name).read_text("utf-8")

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(source),
        trim_blocks=True,
        lstrip_blocks=True,
        # Keys and texts may hold control characters and marks that turn the direction of writing.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters |= {
        "count": lambda value: f"{value:,}",
        "flops": flops,
        "nobreak": _nobreak,
        "percent": percent,
        "plain_json": lambda value: json.dumps(value, ensure_ascii=False),
        "quantity": quantity,
        "quoted": shlex.quote,
        "range": ranged,
        "ratio": ratio,
        "seconds": seconds,
        "short": short,
    }
    return environment


def _nobreak(text: str) -> Markup:
    """A text whose numbers stay with their per cent signs."""
    return Markup(str(escape(printable(text))).replace(" %", "&nbsp;%"))


def _rows(rows: Mapping[str, Any]) -> Markup:
    left = max(0, (rows["expected"] or 0) - rows["committed"])
    parts = [
        Part(name="answered", count=rows["ok"], style="good"),
        Part(name="failed", count=rows["failed"], style="bad"),
        Part(name="filtered", count=rows["filtered"], style="quiet"),
        Part(name="still to come", count=left, style="cell"),
    ]
    return stacked(parts, what="rows")


def _ratios(savings: Mapping[str, Any]) -> Markup:
    a, b, c = savings["a_same_length_flops"], savings["b_counterfactual"], savings["c_time"]
    lost = savings["discarded"]["files_unreadable"]
    rows = [
        Ratio(name="(a) arithmetic, same words", value=_rest(a["share_saved_by_early_exit"])),
        Ratio(name="(a) with overheads, at least" if lost else "(a) with overheads", value=_rest(a["share_net"])),
        Ratio(name="(b) arithmetic, full depth's own words", **_bounds(b, "saved_share")),
        Ratio(name="(c) time in the model", **_bounds(c, "saved_share")),
    ]
    if c["measured"]:
        rows[-1] = Ratio(name=rows[-1].name, value=c["point_ratio"], low=rows[-1].low, high=rows[-1].high)
    return ratios(rows, what="shares of full depth")


def _bounds(found: Mapping[str, Any], name: str) -> dict[str, float | None]:
    """What was not spared, from an interval of what was."""
    interval = found.get(name) if found["measured"] else None
    if interval is None:
        return {"value": None}
    return {
        "value": _rest(interval["estimate"]),
        "low": _rest(interval["high"]),
        "high": _rest(interval["low"]),
    }


def _rest(share: float | None) -> float | None:
    return None if share is None else 1 - share


def _counts(by_depth: Mapping[str, int]) -> dict[int, int]:
    return {int(depth): count for depth, count in by_depth.items()}
