"""Each stage is timed alone."""

from __future__ import annotations

import pytest

from jobs.tune import Tuning
from jobs.tune_pace import OUT_OF_REACH, measured_pace, probes
from mue_model.config import EngineConfig, ExitConfig
from mue_model.loading import build_engine
from mue_model.model_names import model_facts

FACTS = model_facts("demo")


@pytest.mark.parametrize(
    ("streams", "candidates", "names"),
    [
        ("decomposed", False, ["image", "text", "decoder"]),
        ("decomposed", True, ["image", "text", "decoder"]),
        ("joint", True, ["image", "decoder"]),
    ],
)
def test_a_probe_differs_from_full_depth_in_one_stage(streams: str, candidates: bool, names: list[str]) -> None:
    config = FACTS.config.model_copy(update={"streams": streams})
    points = probes(config, candidates=candidates, decoder_signal="similarity")
    assert points.pop("full depth") == ExitConfig()
    assert list(points) == [f"{name} {kind}" for name in names for kind in ("early", "asked")]
    for exits in points.values():
        vectors = exits.per_layer(config)
        touched = {stage for stage, own in vectors.items() if min(own) < 1}
        assert touched <= {"candidates"} if candidates and "candidates" in touched else len(touched) == 1


def test_a_confidence_is_asked_for_and_no_token_leaves(tuned: Tuning) -> None:
    asked = probes(FACTS.config, candidates=False, decoder_signal="confidence")["decoder asked"]
    assert asked.decoder_signal == "confidence"
    question = tuned.asked.to_screen("caption", 1)[0]
    engine = build_engine(FACTS, asked, FACTS.generation, EngineConfig(group_size=4))
    [result] = engine.submit([question.row]).result()
    engine.close()
    assert {*result.trace.decoder} == {6}
    assert result.trace.checks == (0, 0, 5 * len(result.trace.decoder))


def test_it_is_measured_on_the_rows_that_are_screened(tuned: Tuning) -> None:
    questions = tuned.asked.to_screen("entailment", 12)
    told: list[tuple[int, int]] = []
    found = measured_pace(
        FACTS, questions, tuned.asked.references, task="entailment", group_size=4, decoder_signal="similarity",
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    images = len({question.row.image_key for question in questions})
    prompts = len({question.row.prompt_ids for question in questions})
    assert found.full_layers == {"image": 6 * images, "text": 6 * prompts, "decoder": 6 * len(questions)}
    assert found.full_s > 0
    assert found.layer_s.keys() == found.check_s.keys() == {"image", "text", "decoder"}
    assert told[-1] == (14 * len(questions), 14 * len(questions))
    assert OUT_OF_REACH < 1
