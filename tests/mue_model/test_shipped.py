"""The model that ships: small, decomposed, whole, and right about pictures that it has never seen."""

from __future__ import annotations

import pytest

from mue_model import costs
from mue_model.checkpoint import parameter_count
from mue_model.config import EngineConfig, ExitConfig
from mue_model.corpus.row import draw_row
from mue_model.corpus.settings import CorpusSettings
from mue_model.loading import build_engine
from mue_model.model import parameter_shapes
from mue_model.model_folder import ModelFacts
from mue_model.model_names import model_facts
from mue_model.rows import ExitTrace, RowInput, RowResult

SEED = 11
"""Not the seed of the training corpus."""
ROWS = 60


@pytest.fixture(scope="module")
def facts() -> ModelFacts:
    return model_facts("demo")


def answers(facts: ModelFacts, exits: ExitConfig) -> list[tuple[str, RowResult]]:
    """Nouns and answers of one-object pictures whose nouns occur in training."""
    settings = CorpusSettings(seed=SEED, levels=(1,))
    drawn = [draw_row(settings, "test", number) for number in range(ROWS)]
    seen = [row for row in drawn if row.facts["part"] == "seen"]
    engine = build_engine(facts, exits, facts.generation, EngineConfig(device="cpu"))
    rows = [
        RowInput(uid=row.key, pixels=facts.processor.pixels(row.jpg), prompt_ids=facts.processor.prompt_ids())
        for row in seen
    ]
    results = engine.submit(rows).result()
    engine.close()
    return [(row.facts["objects"][0]["noun"], result) for row, result in zip(seen, results, strict=True)]


def test_it_is_what_the_card_says(facts: ModelFacts) -> None:
    assert facts.folder is not None
    parameters = parameter_count(parameter_shapes(facts.config))
    weights = facts.folder / "model.safetensors"
    card = (facts.folder / "MODEL_CARD.md").read_text("utf-8")
    assert parameters <= 7_000_000
    assert weights.stat().st_size <= 15_000_000
    assert f"{parameters:,} parameters" in card
    assert (facts.config.encoder_layers, facts.config.decoder_layers, facts.config.streams) == (6, 6, "decomposed")
    assert facts.config.vocab_size <= 8000
    assert 96 <= facts.processor.image_size <= 128
    assert not facts.untrained


@pytest.mark.parametrize("preset", ["exact", "default"])
def test_it_names_what_it_sees(facts: ModelFacts, preset: str) -> None:
    found = answers(facts, facts.exits(preset))
    named = [noun in (result.text or "").split() for noun, result in found]
    assert len(named) > 45
    assert sum(named) >= 0.8 * len(named)


def test_its_default_exits_early_and_exact_never(facts: ModelFacts) -> None:
    depths = {preset: [r.trace for _, r in answers(facts, facts.exits(preset)) if r.trace] for preset in facts.presets}
    assert {depth for trace in depths["exact"] for depth in (trace.image, trace.text, *trace.decoder)} == {6}
    assert sum(trace.image for trace in depths["default"]) < 6 * len(depths["default"])
    assert all(
        executed(facts, trace) < executed(facts, costs.full_depth(facts.config, trace)) for trace in depths["default"]
    )


def executed(facts: ModelFacts, trace: ExitTrace) -> int:
    return costs.row_flops(facts.config, trace).executed
