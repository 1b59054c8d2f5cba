"""A plan that was changed after the job, and shadows that are not those it selects, are found and named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.fingerprint import fingerprint_of


def test_shadow_results_dropped(copy: Any) -> None:
    for path in copy.parts():
        copy.edit(path, lambda rows: [row | {"shadow": None} for row in rows])
    said = copy.mismatches()
    assert ": shadow: expected a result at full depth" in said["shadow"]
    assert "000000-00000/" in said["shadow"]


def test_shadow_results_dropped_and_called_lost(forged: Any) -> None:
    dropped = 0

    def drop(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal dropped
        dropped += sum(row["shadow"] is not None for row in rows)
        return [row | {"shadow": None} for row in rows]

    forged.edit(forged.parts()[0], drop)
    [path] = [path for path in forged.manifest["files"] if path.startswith("metrics/")]
    *lines, totals = [json.loads(line) for line in (forged.folder / path).read_text().splitlines()]
    totals["shadow_lost"] = dropped
    forged.write(path, "".join(json.dumps(line) + "\n" for line in [*lines, totals]).encode())

    found = forged.verify()
    assert forged.named(found) == {}
    assert dropped > 0
    [estimate] = [check for check in found.checks if check.name == "shadow_estimate"]
    assert estimate.verdict == "not_checked"
    assert f"{dropped} selected rows have no result: if full depth gave all of them another answer" in estimate.notes[0]
    assert found.evidence.level == 2


def test_one_disagreement_hidden(forged: Any) -> None:
    def agree(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row | {"shadow": row["shadow"] and row["shadow"] | {"text": "another", "agrees": True}} for row in rows]

    forged.edit(forged.parts()[0], agree)
    assert "shadow.agrees: expected False, found True" in forged.mismatches()["shadow"]


def test_a_shadow_that_nothing_selects(forged: Any) -> None:
    plan = forged.json("plan.json")
    forged.write_json("plan.json", plan | {"audit_seed": plan["audit_seed"] + 1})
    said = forged.mismatches()["shadow"]
    assert "seed, rates and uid do not select it" in said
    assert "select the row" in said


@pytest.mark.parametrize("fingerprint_too", [False, True])
def test_thresholds_changed_in_the_plan(copy: Any, fingerprint_too: bool) -> None:
    plan = copy.json("plan.json")
    plan["fingerprint_parts"]["exits"]["image"] = 0.5
    if fingerprint_too:
        plan["fingerprint"] = fingerprint_of(plan["fingerprint_parts"])
    copy.write_json("plan.json", plan)
    said = copy.mismatches()
    if fingerprint_too:
        assert "fingerprint" in said["parts"]
        assert "manifest.json: fingerprint" in said["fingerprint"]
    else:
        assert "plan.json: fingerprint" in said["fingerprint"]
        assert "a setting in plan.json was changed" in said["fingerprint"]
    assert ("plan.json" in said.get("digests", "")) is not copy.forged


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("audit_margin", 0.5, "audit.margin: 0.5 -> null"),
        ("audit_windows", 2, "audit.windows: 2 -> 0"),
        ("audit_seed", 4, "audit.seed: 4 -> 3"),
        ("audit_rates", {"shallow": 0.6, "middle": 0.6, "deep": 0.6, "full": 0.1}, "audit.rates.full: 0.1 -> 0.6"),
    ],
)
def test_what_is_audited_changed_in_the_plan(forged: Any, setting: str, value: Any, said: str) -> None:
    forged.write_json("plan.json", forged.json("plan.json") | {setting: value})
    assert said in forged.mismatches()["settings"]
