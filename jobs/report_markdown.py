"""A report as Markdown, for a repository or a ticket. Whatever comes from inputs cannot become markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.report_verdict import percent
from jobs.report_words import SECONDS, WORDS, gap, quantity, ranged, seconds, short
from jobs.summary_view import flops
from jobs.terminal import printable

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+.!|~>-])")


def report_markdown(document: Mapping[str, Any]) -> str:
    """Return the Markdown of a `report_document`: the same figures as on its page, without pictures."""
    return "\n".join(_lines(document)) + "\n"


def escaped(text: object) -> str:
    """Return a text that shows as it is: on one line, without HTML, links or emphasis."""
    plain = printable(str(text)).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKUP.sub(r"\\\1", plain)


def _lines(doc: Mapping[str, Any]) -> Iterator[str]:
    savings, verdict = doc["savings"], doc["verdict"]
    yield f"# {escaped(verdict['headline'])}"
    yield ""
    yield f"{escaped(doc['output'])}, task {doc['task']}, {doc['made']}, mue {doc['mue']}"
    yield ""
    for sentence in verdict["sentences"]:
        yield f"- {escaped(sentence)}"
    yield ""
    evidence = doc["verification"]["evidence"]
    yield f"**Evidence level {escaped(evidence['name'])}** (of L0 to L5); tests: {doc['verification']['verdict']}."
    yield ""
    for step in evidence["steps"]:
        lacks = "" if step["met"] else f": {escaped(step['remedy'] or step['reason'])}"
        yield f"- [{'x' if step['met'] else ' '}] L{step['level']} {escaped(step['name'])}{lacks}"
    yield from _section("Three numbers, and the answers")
    cards = [
        (card["letter"] or "", card["question"], card["value"] or "not measured", card["range"], card["boundary"])
        for card in verdict["cards"]
    ]
    yield from _table(("", "question", "value", "range", "boundary"), cards)
    yield ""
    yield f"Baseline: {escaped(savings['baseline'])}. {escaped(gap(doc))}"
    yield from _section("Rows")
    rows = doc["rows"]
    counts = " + ".join(f"{rows[name]:,} {name}" for name in ("ok", "failed", "filtered"))
    yield f"{counts} = {rows['committed']:,}; {rows['shards_done']:,} of {rows['shards']:,} shards done, "
    yield f"{rows['shards_bad']:,} bad. {'Finished' if doc['finished'] else 'Not finished'}."
    yield from _section("FLOPs")
    yield from _table(("", "FLOPs", "exactly"), _flops(savings))
    yield from _section("Overheads in seconds")
    found = savings["overhead_seconds"]
    known = [(label, "not measured" if found[name] is None else seconds(found[name])) for name, label in SECONDS]
    yield from _table(("", "seconds"), known)
    yield from _section("Answers against full depth")
    b = savings["b_counterfactual"]
    if b["measured"]:
        yield f"{b['disagreed']:,} of {b['shadowed']:,} checked rows differ; the same: "
        yield f"{percent(b['agreement']['estimate'])} ({ranged(b['agreement'])})."
        if b["audits"] > 1:
            yield f"This is the latest of {b['audits']} audits, each of which may have chosen other rows."
        if b["lost"]:
            worst = b["agreement_if_lost_disagree"]
            yield f"{b['lost']:,} chosen rows have no result; if all of those differed: "
            yield f"{percent(worst['estimate'])} ({ranged(worst)})."
    else:
        yield f"Not measured: {escaped(b['reason'])}"
    yield from _section("Failures")
    failures = [
        (code["code"], f"{code['kind']}, {code['stage']}", f"{code['count']:,}", short(_example(code)))
        for code in doc["failures"]
    ]
    yield from _table(("code", "what", "how many", "an example"), failures)
    yield from _section("Energy, cost, carbon")
    yield from _table(("", "whole job", "per 1,000 ok rows", "how"), _footprint(doc["footprint"]))
    factors = [
        (name, quantity(factor["value"]), factor["source"], factor["date"])
        for name, factor in doc["footprint"]["factors"].items()
    ]
    if factors:
        yield ""
        yield from _table(("factor", "value", "source", "date"), factors)
    yield from _section("Provenance")
    for name in ("model", "model_digest", "fingerprint", "manifest_sha256"):
        yield f"- {name}: `{doc['provenance'][name]}`"
    yield ""
    yield "Recompute: `duckdb < report/recompute.sql` in the output folder, or `mue verify`."


def _flops(savings: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    a = savings["a_same_length_flops"]
    lines = [("full depth, same texts", a["baseline"]), ("executed", a["executed"])]
    lines += [("spared by early exit", a["saved_by_early_exit"])]
    lost = savings["discarded"]["files_unreadable"]
    least = {"discarded": f", at least ({lost:,} of their files gone or unreadable)" if lost else ""}
    lines += [(f"overhead: {WORDS[name]}{least.get(name, '')}", value) for name, value in a["overheads"].items()]
    lines += [
        ("net, at most" if lost else "net", a["net"]),
        ("reused, no saving of early exit", savings["reused"]["flops"]),
    ]
    return [(name, flops(value), f"{value:,}") for name, value in lines]


def _footprint(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    def shown(entry: Mapping[str, Any], name: str) -> str:
        bound = "at least " if entry["lower_bound"] else ""
        return "unknown" if entry[name] is None else f"{bound}{quantity(entry[name])} {entry['unit']}"

    return [
        (WORDS[entry["name"]], shown(entry, "value"), shown(entry, "per_1000_ok_rows"), entry["how"])
        for entry in found["quantities"]
    ]


def _example(code: Mapping[str, Any]) -> str:
    example = code["examples"][0]
    return f"{example['id']}: {example['message']}"


def _section(title: str) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    if not rows:
        yield "none"
        return
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(escaped(cell) for cell in row)} |"
