"""The seeded model is the same everywhere, exits at varying depths and says that it is untrained."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from mue_model.config import GenerationConfig
from mue_model.exits import CosineExit
from mue_model.loading import load_model
from mue_model.model import parameter_shapes
from mue_model.reference import run_row
from mue_model.rows import RowInput
from mue_model.seeded import SEEDED_NAME, seeded_array, seeded_facts

# Whatever changes one of these must bump SEEDED_VERSION.
DIGEST = "79d6d8d5258642bcc47c1415715a015d0077b454d2f9c63a37f3ac94381ea6b8"
TENSORS = {
    "encoder.embed_tokens.weight": "a0c8a0b942278efc",
    "encoder.embed_images.conv1.weight": "487b303e1630c9e3",
    "encoder.embed_images.bn1.running_var": "cd77297eee742b9a",
    "decoder.layers.5.cross_attn.c_attn": "097dfd4e4234bf98",
    "decoder.layers.0.fc1.bias": "7d563cc9c5a983dc",
    "encoder.layer_norm.weight": "d5ee69d8cdf04d1c",
}


def test_the_digest_is_pinned() -> None:
    assert seeded_facts().digest == DIGEST


@pytest.mark.parametrize("name", TENSORS)
def test_weights_are_pinned(name: str) -> None:
    array = seeded_array(name, parameter_shapes(seeded_facts().config)[name])
    assert array.dtype == np.float32
    assert hashlib.sha256(array.tobytes()).hexdigest()[:16] == TENSORS[name]


def test_every_weight_differs_and_is_finite() -> None:
    shapes = parameter_shapes(seeded_facts().config)
    arrays = {name: seeded_array(name, shape) for name, shape in shapes.items()}
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert all((array > 0).all() for name, array in arrays.items() if name.endswith("running_var"))
    assert len({array.tobytes() for array in arrays.values()}) == len(arrays)


def test_the_facts_say_what_it_is() -> None:
    facts = seeded_facts()
    assert facts.name == SEEDED_NAME
    assert facts.untrained
    assert facts.config.streams == "decomposed"
    assert {"default", "exact"} <= facts.presets.keys()
    assert facts.processor.tokenizer.vocab_size == facts.config.vocab_size


def test_rows_exit_at_depths_of_their_own() -> None:
    facts, generation = seeded_facts(), GenerationConfig(max_tokens=6)
    model = load_model(facts)
    policy = CosineExit.from_config(facts.exits("default"), facts.config, generation.max_tokens)
    results = []
    for grey in (0, 64, 128):
        pixels = np.full((128, 128, 3), grey, np.uint8)
        row = RowInput(uid=f"{grey}/0/0", pixels=pixels, prompt_ids=facts.processor.prompt_ids())
        results.append(run_row(model, row, policy, generation))
    assert len({result.trace.image for result in results}) > 1
    depths = {depth for result in results for depth in result.trace.decoder}
    assert len(depths) > 1
    assert min(depths) < facts.config.decoder_layers
    assert all(result.tokens for result in results)
