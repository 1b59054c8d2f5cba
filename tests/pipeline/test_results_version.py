"""Texts and layers of a tiny model, pinned: whatever changes them must bump `RESULTS_VERSION`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.loading import build_engine
from mue_model.model_names import model_facts
from mue_model.rows import RowInput
from pipeline.records import RESULTS_VERSION

GOLDEN = Path(__file__).parent.parent / "golden" / "results.json"
EXITS = {
    "default": model_facts("seeded").exits("default"),
    "exact": ExitConfig(),
    "holes": ExitConfig(image=0.9, text=0.8, decoder=0.85, schedule="paper", kv_policy="holes"),
}


def pattern(number: int) -> np.ndarray:
    """An image made of integer arithmetic alone, the same on every machine."""
    row, column, channel = np.meshgrid(np.arange(64), np.arange(64), np.arange(3), indexing="ij")
    return ((row * (3 + number) + column * (5 + 2 * number) + channel * 40) % 256).astype(np.uint8)


def answers(exits: ExitConfig) -> list[dict[str, Any]]:
    facts = model_facts("seeded")
    # float64: the machine's matrix kernels must not decide a near tie.
    engine = build_engine(facts, exits, GenerationConfig(max_tokens=8), EngineConfig(dtype="float64", device="cpu"))
    ids = facts.processor.prompt_ids()
    rows = [RowInput(uid=str(number), pixels=pattern(number), prompt_ids=ids) for number in range(4)]
    results = engine.submit(rows).result()
    engine.close()
    return [
        {
            "text": result.text,
            "tokens": list(result.tokens),
            "layers": [result.trace.image, result.trace.text, list(result.trace.decoder)],
        }
        for result in results
        if result.trace is not None
    ]


@pytest.mark.parametrize("name", EXITS)
def test_results_are_those_of_this_results_version(name: str) -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))
    assert golden["results_version"] == RESULTS_VERSION, "RESULTS_VERSION was bumped: write the golden file anew"
    assert answers(EXITS[name]) == golden["answers"][name], (
        "results changed: bump pipeline.records.RESULTS_VERSION, write the golden file anew, say so in the CHANGELOG"
    )


def test_the_pinned_depths_vary() -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))["answers"]
    assert len({depth for answer in golden["default"] for depth in answer["layers"][2]}) > 1
    assert {depth for answer in golden["exact"] for depth in answer["layers"][2]} == {6}


def write_golden() -> None:
    """Write the golden file anew; run by hand after `RESULTS_VERSION` was bumped."""
    document = {"results_version": RESULTS_VERSION, "answers": {name: answers(exits) for name, exits in EXITS.items()}}
    GOLDEN.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    write_golden()
