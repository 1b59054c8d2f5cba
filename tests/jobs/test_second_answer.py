"""Rows run again: the same answer is exact, a decision within rounding is a near tie, everything else a mismatch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.second_answer import TOLERANCES, SecondAnswer
from jobs.verify_folder import read_folder
from jobs.verify_model import JobModel, job_model
from mue_model.config import ExitConfig, GenerationConfig
from mue_model.exits import NeverExit
from mue_model.rows import RowInput, RowResult
from pipeline.fan_out import query_rows
from pipeline.ledger import Ledger
from pipeline.preprocess import DecodeRows
from pipeline.shard_rows import iter_tables
from pipeline.storage import Storage


@pytest.fixture(scope="module")
def job(honest: Path) -> JobModel:
    return job_model(read_folder(Ledger(Storage.open(str(honest)))), None)


@pytest.fixture(scope="module")
def row(job: JobModel, labelled: Path) -> RowInput:
    """The first drawn scene."""
    decode = DecodeRows.from_processor(job.facts.processor)
    raw = next(iter_tables(str(labelled), "000000-00000", suffixes=("jpg",), max_member_bytes=1 << 20))
    found = query_rows(decode(raw.slice(0, 1)), decode.image_size)[0].asked
    assert found is not None
    return found


def recorded(result: RowResult) -> dict[str, Any]:
    """What a data file would hold of it."""
    assert result.trace is not None
    return {
        "text": "the text",
        "label": result.label,
        "tokens": list(result.tokens),
        "image_layers_run": result.trace.image,
        "text_layers_run": result.trace.text,
        "decoder_layers_run": list(result.trace.decoder),
    }


def at(job: JobModel, threshold: float) -> SecondAnswer:
    """Image rows may leave after their second layer alone, nothing else anywhere."""
    thresholds = (1.0, threshold, 1.0, 1.0, 1.0, 1.0)
    return SecondAnswer(replace(job, exits=ExitConfig(image=thresholds)))


def similarity(answers: SecondAnswer, row: RowInput) -> float:
    """That of the row's image behind its second layer."""
    low, high = -1.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if at_depth(answers, row, middle) == 2 else (low, middle)
    return low


def at_depth(answers: SecondAnswer, row: RowInput, threshold: float) -> int:
    answers._policy._thresholds["image"] = (1.0, threshold, 1.0, 1.0, 1.0, 1.0)
    trace = answers._run(answers._model, row).trace
    assert trace is not None
    return trace.image


def test_its_own_answer_is_exact(job: JobModel, row: RowInput) -> None:
    answers = SecondAnswer(job)
    assert answers.against(row, recorded(answers._run(answers._model, row))).outcome == "exact"


@pytest.mark.parametrize(("distance", "outcome"), [(2e-5, "near tie"), (3e-3, "mismatch")])
def test_an_exit_that_rounding_decides_is_a_near_tie(
    job: JobModel, row: RowInput, distance: float, outcome: str
) -> None:
    answers = at(job, 0.9)
    edge = similarity(answers, row)
    answers._policy._thresholds["image"] = (1.0, edge - 1e-5, 1.0, 1.0, 1.0, 1.0)
    left = recorded(answers._run(answers._model, row))
    answers._policy._thresholds["image"] = (1.0, edge + distance, 1.0, 1.0, 1.0, 1.0)

    said = answers.against(row, left)

    assert said.outcome == outcome
    assert "2 image and" in said.found
    assert "6 image and" in said.expected
    if outcome == "near tie":
        assert "image similarity within 2" in said.why


@pytest.mark.parametrize(("distance", "outcome"), [(2e-5, "near tie"), (3e-3, "mismatch")])
def test_a_confidence_that_rounding_decides_is_a_near_tie(
    job: JobModel, row: RowInput, distance: float, outcome: str
) -> None:
    answers = SecondAnswer(replace(job, exits=ExitConfig(decoder=(0.5, *[1.0] * 5), decoder_signal="confidence")))

    def first_depth(threshold: float) -> int:
        answers._policy._thresholds["decoder"] = (threshold, *[1.0] * 5)
        trace = answers._run(answers._model, row).trace
        assert trace is not None
        return trace.decoder[0]

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if first_depth(middle) == 1 else (low, middle)
    assert first_depth(low - 1e-5) == 1
    left = recorded(answers._run(answers._model, row))
    assert first_depth(low + distance) == 6

    said = answers.against(row, left)

    assert said.outcome == outcome
    assert outcome != "near tie" or "decoder confidence within 2" in said.why


def test_another_token_is_a_mismatch(job: JobModel, row: RowInput) -> None:
    answers = SecondAnswer(job)
    wrong = recorded(answers._run(answers._model, row))
    wrong["tokens"][1] += 1
    assert answers.against(row, wrong).outcome == "mismatch"


def test_beams_are_run_again_too(job: JobModel, row: RowInput) -> None:
    answers = SecondAnswer(replace(job, generation=GenerationConfig(beams=3)))
    right = recorded(answers._run(answers._model, row))
    assert answers.against(row, right).outcome == "exact"
    assert answers.against(row, right | {"tokens": right["tokens"][1:]}).outcome == "mismatch"


def shadow(answers: SecondAnswer, row: RowInput) -> dict[str, Any]:
    """What a data file would hold of the row at full depth."""
    result = answers._run(answers._model, row, NeverExit())
    assert result.trace is not None
    layers = [result.trace.image, result.trace.text, *result.trace.decoder]
    return {"text": answers._answer(result), "n_tokens": len(result.tokens), "layers": layers}


@pytest.mark.parametrize("beams", [1, 3])
def test_a_shadow_is_run_again_at_full_depth(job: JobModel, row: RowInput, beams: int) -> None:
    answers = SecondAnswer(replace(job, generation=GenerationConfig(beams=beams)))
    right = shadow(answers, row)
    assert answers.shadow_against(row, right).outcome == "exact"
    for wrong in ({"text": right["text"] + "s"}, {"n_tokens": 1}, {"layers": [1, *right["layers"][1:]]}):
        assert answers.shadow_against(row, right | wrong).outcome == "mismatch"


def test_a_shadow_with_another_token_within_rounding_is_a_near_tie(
    job: JobModel, row: RowInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = SecondAnswer(job)
    right = shadow(answers, row)
    words = right["text"].split()
    other = right | {"text": " ".join([*words[:-1], "elephant"])}
    assert answers.shadow_against(row, other).outcome == "mismatch"
    monkeypatch.setitem(TOLERANCES, job.dtype, (1e-4, 1e4))
    said = answers.shadow_against(row, other)
    assert said.outcome == "near tie"
    assert "apart at step" in said.why
    assert answers.shadow_against(row, other | {"layers": [1] * len(right["layers"])}).outcome == "mismatch"


def test_a_row_on_which_the_model_fails_gets_no_answer(job: JobModel, row: RowInput) -> None:
    answers = SecondAnswer(job)
    assert "image and" in str(answers.answered(row))
    assert answers.answered(replace(row, prompt_ids=(10**6,))) is None, "it raises"
    with torch.no_grad():
        next(answers._model.decoder.parameters()).fill_(float("nan"))
    assert answers.answered(row) is None, "no number comes out"
