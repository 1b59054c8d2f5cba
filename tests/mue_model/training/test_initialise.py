from __future__ import annotations

from collections.abc import Callable

import torch

from mue_model.config import ModelConfig
from mue_model.model import MueModel
from mue_model.training.initialise import fresh_model


def state(model: MueModel) -> torch.Tensor:
    return torch.cat([tensor.double().flatten() for tensor in model.state_dict().values()])


def test_weights_are_a_function_of_the_seed_alone(toy_config: Callable[..., ModelConfig]) -> None:
    config = toy_config()
    first = state(fresh_model(config, seed=1))
    torch.rand(3)
    assert torch.equal(first, state(fresh_model(config, seed=1)))
    assert not torch.equal(first, state(fresh_model(config, seed=2)))


def test_every_weight_is_finite_and_trained(toy_config: Callable[..., ModelConfig]) -> None:
    model = fresh_model(toy_config(), seed=0)
    assert model.training
    assert all(parameter.requires_grad and parameter.isfinite().all() for parameter in model.parameters())


def test_no_distance_is_preferred_and_padding_is_zero(toy_config: Callable[..., ModelConfig]) -> None:
    model = fresh_model(toy_config(), seed=0)
    tables = [weight for name, weight in model.named_parameters() if "rel_pos_table" in name]
    assert len(tables) == 12
    assert not any(table.any() for table in tables)
    assert not model.encoder.embed_tokens.weight[model.config.pad_token_id].any()
    assert model.encoder.embed_tokens.weight.std() > 0.1
