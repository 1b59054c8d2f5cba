"""Rows are plain frozen records, the same in every process."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from mue_model.rows import ExitTrace, RowError, RowInput, RowResult

TRACE = ExitTrace(
    grid=(2, 3), prompt_tokens=4, image=1, text=2, decoder=(1, 3), checks=(1, 2, 3), kv_fills=2, cross_kv_layers=3
)
RECORDS = [
    RowInput(uid="s/0/0", pixels=np.zeros((32, 48, 3), np.uint8), prompt_ids=(0, 5, 2)),
    TRACE,
    RowError(code="nonfinite", message="step 1"),
    RowResult(uid="s/0/0", trace=TRACE),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_are_frozen_keyword_only_and_closed(record: Any) -> None:
    name = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, None)
    with pytest.raises(TypeError):
        type(record)(getattr(record, name))
    with pytest.raises(TypeError, match="unexpected keyword"):
        type(record)(**{field.name: None for field in dataclasses.fields(record)}, unknown=1)


@pytest.mark.parametrize("record", RECORDS[1:], ids=lambda record: type(record).__name__)
def test_records_travel_between_processes(record: Any) -> None:
    assert pickle.loads(pickle.dumps(record)) == record


def test_a_row_without_an_answer_says_so() -> None:
    result = RowResult(uid="s/0/0")
    assert (result.text, result.tokens, result.finish_reason, result.trace) == (None, (), "none", None)
    assert (result.flops_reused, result.flops_padding) == (0, 0)


@pytest.mark.parametrize("shape", [(0, 16, 3), (24, 32, 3), (32, 40, 3)])
def test_sides_that_are_no_multiple_of_the_stride_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"row r: pixels of \d+ x \d+; both sides must be multiples of 16"):
        RowInput(uid="r", pixels=np.zeros(shape, dtype=np.uint8), prompt_ids=(0, 2))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((16, 16, 3), np.float32), np.zeros((16, 16, 4), np.uint8), np.zeros((16, 16), np.uint8)],
    ids=["float", "rgba", "grey"],
)
def test_pixels_that_are_not_rgb_bytes_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"row r: pixels are .*, expected uint8 \[H, W, 3\]"):
        RowInput(uid="r", pixels=pixels, prompt_ids=(0, 2))
