"""Cells of small random models, beside the reference that they must agree with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from mue_model import reference
from mue_model.config import ExitConfig, GenerationConfig
from mue_model.exits import CosineExit, NeverExit
from mue_model.model import MueModel
from mue_model.rows import Candidate, RowInput, RowResult
from mue_model.tuning.cells import Cells
from mue_model.tuning.collect import collect
from mue_model.tuning.screen import Screen

CANDIDATES = (
    *(Candidate(label=f"says {token}", ids=(token, 2)) for token in range(7, 20)),
    Candidate(label="says two", ids=(7, 10, 2)),
)
GENERATION = GenerationConfig(max_tokens=8, no_repeat_ngram=2)
ROWS = 24


@dataclass(frozen=True)
class Studied:
    """A model, the rows of both tasks, and what it says to them at full depth."""

    model: MueModel
    rows: dict[str, list[RowInput]]
    full: dict[str, list[RowResult]]
    right: dict[str, list[bool]]
    gold: dict[str, list[str | None]]
    """The right label of rows with candidates: mostly what full depth says."""
    cells: dict[str, Cells]
    by_confidence: Cells
    """Of the captions: how sure the head is of each token, instead of similarities."""

    @property
    def screen(self) -> Screen:
        return Screen(self.model.config, self.cells)

    def free(self, task: str, exits: ExitConfig) -> list[RowResult]:
        """What the reference says with these exits."""
        policy = CosineExit.from_config(exits, self.model.config, GENERATION.max_tokens)
        return [reference.run_row(self.model, row, policy, GENERATION) for row in self.rows[task]]


@pytest.fixture(scope="session")
def studied(small_model: Callable[..., MueModel], make_rows: Callable[..., list[RowInput]]) -> Callable[[str], Studied]:
    """`studied("decomposed")`: captions and candidates."""
    kept: dict[str, Studied] = {}

    def make(streams: str) -> Studied:
        if streams not in kept:
            kept[streams] = study(small_model(streams=streams), make_rows)
        return kept[streams]

    return make


def study(model: MueModel, make_rows: Callable[..., list[RowInput]]) -> Studied:
    prompts = [(0, 5, 6, 2), (0, 5, 11, 6, 2)]
    asked = [
        replace(row, candidates=CANDIDATES, task="entailment")
        for number, prompt in enumerate(prompts)
        for row in make_rows(ROWS // 2, prefix=f"asked{number}", prompt_ids=prompt)
    ]
    rows = {"caption": make_rows(ROWS, prefix="said"), "entailment": asked}
    full = {task: [reference.run_row(model, row, NeverExit(), GENERATION) for row in own] for task, own in rows.items()}
    right = {"caption": [number % 4 > 0 for number in range(ROWS)]}
    gold: dict[str, list[str | None]] = {"caption": [None] * ROWS}
    gold["entailment"] = [result.label for result in full["entailment"]]
    gold["entailment"][::5] = ["says two"] * len(gold["entailment"][::5])
    right["entailment"] = [
        result.label == own for result, own in zip(full["entailment"], gold["entailment"], strict=True)
    ]
    facts = {task: (model, rows[task], full[task], right[task], gold[task], GENERATION) for task in rows}
    cells = {task: collect(*own) for task, own in facts.items()}
    return Studied(model, rows, full, right, gold, cells, collect(*facts["caption"], decoder_signal="confidence"))
