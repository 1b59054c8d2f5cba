"""What a row takes in flight, against the stores themselves."""

from __future__ import annotations

from typing import Any

import torch

from mue_model.config import EngineConfig, GenerationConfig
from mue_model.engine.capacity import budget_bytes, free_bytes, row_bytes
from mue_model.engine.dense import DenseRunner
from mue_model.exits import NeverExit


def test_a_row_takes_what_the_stores_grow_by(small_model: Any, make_rows: Any) -> None:
    model, generation = small_model(streams="decomposed"), GenerationConfig(max_tokens=5)
    runner = DenseRunner(model, NeverExit(), generation, "propagate", EngineConfig(group_size=8))
    for ticket, row in enumerate(make_rows(16, grid=(4, 4))):
        runner.admit(ticket, row)
    while runner.busy:
        runner.step()
    text = runner.encoder.text
    assert text is not None
    rows = runner.decoder.store.slots.capacity
    assert rows == 16
    # What is more: position tables, room for other prompts, and images that are in the encoder meanwhile.
    expected = rows * row_bytes(model.config, 16, 5, 8)
    assert expected < runner.bytes < 2 * expected


def test_a_row_of_ofa_base_takes_what_the_design_says(ofa_config: Any) -> None:
    keys_values = row_bytes(ofa_config("base"), 900, 0, 4)
    assert 33e6 < keys_values < 37e6


def test_the_budget_is_what_is_asked_for_or_a_share_of_what_is_free() -> None:
    cpu = torch.device("cpu")
    assert budget_bytes(3, cpu) == 3 * 2**20
    assert 0 < budget_bytes(None, cpu) < free_bytes(cpu) * 1.1
