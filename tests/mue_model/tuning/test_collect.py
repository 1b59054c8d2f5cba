"""The cells at full depth are what full depth says, of every row, and progress is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mue_model.config import GenerationConfig
from mue_model.tuning.collect import collect


@pytest.mark.parametrize("streams", ["decomposed", "joint"])
def test_full_depth_says_what_it_said(streams: str, studied: Callable[[str], Any]) -> None:
    found = studied(streams)
    captions = found.cells["caption"]
    assert captions.holds[:, -1, -1, -1].all(), "its own text, token by token"
    assert not captions.holds[:, 0, 0, 0].all(), "and shallow cells say something else"
    assert captions.eligible.tolist() == found.right["caption"]
    answers = found.cells["entailment"]
    assert answers.holds[:, -1, -1, -1, 0].tolist() == found.right["entailment"]
    assert answers.eligible.all()
    assert len({result.label for result in found.full["entailment"]}) > 1


def test_sizes_are_those_of_the_streams(studied: Callable[[str], Any]) -> None:
    rows = len(studied("joint").rows["caption"])
    steps = max(len(result.tokens) for result in studied("joint").full["caption"])
    assert set(studied("joint").cells["caption"].encoder) == {"joint"}
    assert studied("joint").cells["caption"].holds.shape == (rows, 3, 1, 4, steps)
    assert set(studied("decomposed").cells["caption"].encoder) == {"image", "text"}
    assert studied("decomposed").cells["entailment"].holds.shape == (rows, 3, 3, 4, 1)


def test_what_lies_behind_the_end_of_a_text_is_never_wrong(studied: Callable[[str], Any]) -> None:
    cells = studied("decomposed").cells["caption"]
    assert len(set(cells.steps.tolist())) > 1, "lengths vary"
    behind = np.arange(cells.holds.shape[-1]) >= cells.steps[:, None]
    assert cells.holds.transpose(0, 4, 1, 2, 3)[behind].all()


def test_rows_may_come_in_any_order(studied: Callable[[str], Any]) -> None:
    """Rows of two prompt lengths are cached in lanes of their own, and put back into their places."""
    found, told = studied("decomposed"), []
    turned = slice(None, None, -1)
    own = [
        collect(
            found.model,
            found.rows["entailment"][order],
            found.full["entailment"][order],
            found.right["entailment"][order],
            found.gold["entailment"][order],
            GenerationConfig(),
            progress=told.append,
        )
        for order in (slice(None), turned)
    ]
    assert np.allclose(own[0].decoder, own[1].decoder[turned], atol=1e-6)
    assert (own[0].holds == own[1].holds[turned]).all()
    assert told[-1] == len(found.rows["entailment"])
