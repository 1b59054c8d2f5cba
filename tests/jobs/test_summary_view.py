from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from jobs.interval import Interval
from jobs.summary import summarise
from jobs.summary_view import flops, summary_facts, summary_table


def text_of(job: Any) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(summary_table(summarise(job.ledger)))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_three_numbers_are_named_apart(finished: Any) -> None:
    finished.ledger.storage.write("run.json", b'{"rows_per_s": 12.5, "wall_s": 3}')
    lines = {line[:24].strip(): line[24:].strip() for line in text_of(finished).splitlines()}
    assert lines["FLOPs executed"] == "5.400 kFLOP"
    assert lines["FLOPs saved"] == "40.0 % of full depth by early exit; 39.0 % with the checks counted"
    assert lines["measured speed"] == "12.50 rows/s over 3 s"
    assert lines["measured time saved"] == "not measured in this run"
    assert lines["paper's layer metric"] == "50.0 % of layers not run; neither FLOPs nor time"
    assert lines["rows"] == "10: 9 ok, 1 failed"


def test_what_an_audit_found_is_in_the_same_table_and_document(finished: Any) -> None:
    share = Interval(estimate=0.9016, low=0.7942, high=0.9644)
    summary = replace(summarise(finished.ledger), agreement=share, time_saved=share)
    console = Console(file=io.StringIO(), width=100)
    console.print(summary_table(summary))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "same answer at full depth  90.2 % (79.4 to 96.4) of rows, by shadow rows" in text
    assert "measured time saved        90.2 % (79.4 to 96.4), by timing windows" in text
    facts = summary_facts(summary)
    assert facts["measured_time_saved"] == share.document()
    assert not any("time saved" in note for note in facts["notes"])


def test_an_untrained_model_is_called_so(finished: Any, make_job: Callable[..., Any]) -> None:
    assert "'seeded' is untrained: texts mean nothing" in text_of(finished)
    trained = make_job("trained", untrained=False)
    assert "untrained" not in text_of(trained)
    assert "no rows yet" in text_of(trained)


def test_the_json_says_the_same(finished: Any) -> None:
    facts = json.loads(json.dumps(summary_facts(summarise(finished.ledger))))
    assert facts["flops_executed"] == 5400
    assert facts["flops_saved_share"] == pytest.approx(0.4)
    assert facts["paper_layer_metric"] == pytest.approx(0.5)
    assert facts["measured_time_saved"] is None
    assert facts["notes"] == [
        "model 'seeded' is untrained: texts mean nothing",
        "measured time saved: not measured in this run",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 FLOP"),
        (999, "999 FLOP"),
        (1000, "1.000 kFLOP"),
        (182_340_000_000, "182.3 GFLOP"),
        (12_345_678, "12.34 MFLOP"),
        (2**63, "9.223 EFLOP"),
        (10**27, "1000 YFLOP"),
    ],
)
def test_flops_have_four_digits_and_a_unit(count: int, text: str) -> None:
    assert flops(count) == text
