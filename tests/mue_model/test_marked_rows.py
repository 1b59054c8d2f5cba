"""Marked rows are full depth's, their neighbours are what they were, whatever they share groups with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mue_model import reference
from mue_model.config import EngineConfig, GenerationConfig
from mue_model.exits import CosineExit, Depths, ExitPolicy, NeverExit, ScriptedExit, sharing_class
from mue_model.loading import make_runner
from mue_model.marked_rows import MarkedAtFullDepth, marked
from mue_model.rows import Candidate, RowInput, RowResult

GENERATION = GenerationConfig(max_tokens=6)
EAGER = CosineExit({stage: [0.2] * 4 for stage in ("image", "text", "joint", "decoder", "candidates")})
"""Exits almost everywhere."""


def answers(runner: Any, rows: list[RowInput]) -> list[RowResult]:
    found: dict[int, RowResult] = {}
    for ticket, row in enumerate(rows):
        runner.admit(ticket, row)
    while len(found) < len(rows):
        found |= dict(runner.step())
    return [found[ticket] for ticket in range(len(rows))]


def asked(make_rows: Any) -> list[RowInput]:
    """Rows in pairs of one image, some of which are scored."""
    rows = []
    for number in range(10):
        [row] = make_rows(1, prefix=f"r{number // 2}", prompt_ids=(0, 5, 2) if number % 3 else (0, 9, 7, 2))
        row = replace(row, uid=f"r/{number}/0", image_key=f"image {number // 2}")
        if number % 4 == 3:
            row = replace(row, candidates=tuple(Candidate(label=str(n), ids=(n, 2)) for n in (4, 6)))
        rows.append(row)
    return rows


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
@pytest.mark.parametrize("policy", ["regroup", "compact", "wait_all", "mask"])
def test_marked_rows_run_at_full_depth_beside_others_that_stay_as_they_were(
    policy: str, streams: str, small_model: Any, make_rows: Any
) -> None:
    model, rows = small_model(streams=streams), asked(make_rows)
    config = EngineConfig.model_validate({"policy": policy, "group_size": 4, "image_group_size": 3})
    alone = answers(make_runner(model, EAGER, GENERATION, "propagate", config), rows)
    mixed = [each for row in rows for each in (row, marked(row))]

    results = answers(make_runner(model, MarkedAtFullDepth(EAGER), GENERATION, "propagate", config), mixed)

    for row, before, own, full in zip(rows, alone, results[::2], results[1::2], strict=True):
        assert own.error is None
        assert (own.uid, own.tokens, own.label, own.trace) == (row.uid, before.tokens, before.label, before.trace)
        deep = reference.run_row(model, row, NeverExit(), GENERATION)
        assert deep.trace is not None
        assert full.trace is not None
        assert full.uid == marked(row).uid
        assert (full.tokens, full.label) == (deep.tokens, deep.label)
        assert replace(full.trace, checks=(0, 0, 0)) == deep.trace
        assert deep.trace.image == 3
    assert any(own.trace.image < 3 for own in results[::2] if own.trace), "nobody exited"
    assert any(own.tokens != full.tokens for own, full in zip(results[::2], results[1::2], strict=True))


def test_marked_rows_share_among_themselves_alone(small_model: Any, make_rows: Any) -> None:
    model = small_model(streams="decomposed")
    rows = [replace(row, uid=f"r/{n}/0", image_key="one") for n, row in enumerate(make_rows(1) * 2)]
    runner = make_runner(model, MarkedAtFullDepth(EAGER), GENERATION, "propagate", EngineConfig(group_size=4))

    results = answers(runner, [*rows, *map(marked, rows)])

    assert [result.reused.image > 0 for result in results] == [False, True, False, True]


def test_rows_that_a_script_tells_apart_share_nothing_marked_or_not() -> None:
    script: ExitPolicy = ScriptedExit({"a": Depths(1, 1, (1,))})
    policy = MarkedAtFullDepth(script)
    assert policy.sharing_class("a") is policy.sharing_class("a@full-depth") is None
    assert sharing_class(NeverExit(), "a") == ""
