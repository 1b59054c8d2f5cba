"""Of which streams cells are collected, and of which steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mue_model.config import ModelConfig
from mue_model.tuning.cells import encoder_stages


def test_stages_are_those_of_the_checkpoint(small_config: Callable[..., ModelConfig]) -> None:
    assert encoder_stages(small_config(streams="joint")) == ("joint",)
    assert encoder_stages(small_config(streams="decomposed")) == ("image", "text")


def test_steps_are_those_of_full_depth(studied: Callable[[str], Any]) -> None:
    found = studied("decomposed")
    assert found.cells["caption"].steps.tolist() == [len(result.tokens) for result in found.full["caption"]]
    assert set(found.cells["entailment"].steps.tolist()) == {1}
