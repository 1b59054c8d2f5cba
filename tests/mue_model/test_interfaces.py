"""What other code calls and what model folders hold, pinned. A change here is a new version: say so in the CHANGELOG.

To write the files anew: `MUE_WRITE_GOLDEN=1 python -m pytest tests/mue_model/test_interfaces.py`.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mue_model.config import ExitConfig, ModelConfig
from mue_model.costs import RegionFlops, RowFlops, row_flops
from mue_model.engine.engine import Engine
from mue_model.exits import ExitPolicy
from mue_model.model_folder import config_document, presets_document
from mue_model.rows import Candidate, ExitTrace, RowError, RowInput, RowResult

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CAPTION = ExitTrace(
    grid=(30, 30),
    prompt_tokens=8,
    image=4,
    text=2,
    decoder=(6, 3, 1, 4),
    checks=(4, 2, 11),
    kv_fills=6,
    cross_kv_layers=6,
)
ANSWER = ExitTrace(
    grid=(30, 30),
    prompt_tokens=17,
    image=2,
    text=5,
    decoder=(3,),
    checks=(2, 5, 3),
    kv_fills=0,
    cross_kv_layers=3,
    candidates=3,
    target_length=17,
    target_tokens=19,
    scored_tokens=1,
)


def fields_of(cls: type[Any]) -> list[str]:
    return [f"{field.name}: {field.type}" for field in dataclasses.fields(cls)]


def calls() -> dict[str, Any]:
    """The signatures and records that callers of the model and the engine rely on."""
    return {
        "Engine.submit": str(inspect.signature(Engine.submit)),
        "ExitPolicy.decide": str(inspect.signature(ExitPolicy.decide)),
        "ExitPolicy.may_exit": str(inspect.signature(ExitPolicy.may_exit)),
        "row_flops": str(inspect.signature(row_flops)),
        **{
            cls.__name__: fields_of(cls)
            for cls in (RowInput, Candidate, RowResult, RowError, ExitTrace, RowFlops, RegionFlops)
        },
    }


def costs(config: ModelConfig) -> dict[str, Any]:
    """FLOPs of two OFA-base rows, region by region."""
    return {
        name: dataclasses.asdict(row_flops(config, trace)) for name, trace in [("text", CAPTION), ("label", ANSWER)]
    }


def model_folder(config: ModelConfig) -> dict[str, Any]:
    """config.json and exits.json of a decomposed OFA-base."""
    presets = {"exact": ExitConfig(), "own": ExitConfig(image=(0.9,) * 6, decoder=0.95, schedule="paper")}
    return {"config.json": config_document(config), "exits.json": presets_document(presets, "exact")}


@pytest.mark.parametrize("name", ["calls", "costs", "model_folder"])
def test_the_interface_is_the_recorded_one(name: str, ofa_config: Callable[..., ModelConfig]) -> None:
    config = ofa_config("base", streams="decomposed")
    found = {"calls": calls, "costs": lambda: costs(config), "model_folder": lambda: model_folder(config)}[name]()
    path = GOLDEN / f"{name}.json"
    if os.environ.get("MUE_WRITE_GOLDEN"):
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
    assert found == json.loads(path.read_text("utf-8"))


def test_a_row_s_flops_are_integers_in_every_region(ofa_config: Callable[..., ModelConfig]) -> None:
    for flops in costs(ofa_config("base", streams="decomposed")).values():
        assert all(type(value) is int for value in flops["regions"].values())
        assert flops["executed"] == sum(flops["regions"].values())
