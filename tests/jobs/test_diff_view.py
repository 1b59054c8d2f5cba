from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from jobs.diff import diff
from jobs.diff_view import diff_facts, diff_view


def _shown(view: Any) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


def test_table_and_facts_say_the_same(make_job: Any) -> None:
    a, b = make_job("a"), make_job("b", untrained=False)
    a.commit("1", a.row("000000-a", 0, text="[bold]cat\x1b[2J"), a.row("000000-a", 1))
    b.commit("1", b.row("000000-a", 0, text="dog", flops_executed=1000), b.row("000000-a", 1, flops_executed=800))
    found = diff(a.ledger, b.ledger)
    facts, text = json.loads(json.dumps(diff_facts(found))), _shown(diff_view(found))
    assert (facts["agreement"], facts["flops_ratio"], facts["compared"]) == (0.5, 1.5, 2)
    assert facts["changes"][0]["answer_b"] == "dog"
    assert "50.00 %: 1 of 2 rows have the same answer" in text
    assert "1.500" in text
    assert "model.untrained: true -> false" in text
    # Neither markup nor a terminal's commands get through.
    assert "[bold]cat" in text
    assert "\x1b[2J" not in text
    assert "no measurement of time saved" in " ".join(facts["notes"])


def test_jobs_without_a_common_answer(make_job: Any) -> None:
    found = diff(make_job("a").ledger, make_job("b").ledger)
    assert "nothing to compare" in _shown(diff_view(found))
    assert diff_facts(found)["agreement"] is None
