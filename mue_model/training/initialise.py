"""Weights to start from, for a model trained from nothing."""

from __future__ import annotations

import torch
from torch import nn

from mue_model.config import ModelConfig
from mue_model.model import MueModel


def fresh_model(config: ModelConfig, *, seed: int) -> MueModel:
    """Return a model of `config` with new weights, a function of `seed` alone, in training mode.

    Relative-position tables start at zero: no distance is preferred before anything is learnt. Matrices are Xavier's:
    with a small fixed deviation attention starts uniform, and positions, which are nothing but its bias, go unseen.
    """
    torch.manual_seed(seed)
    model = MueModel(config)
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            if "rel_pos_table" in name:
                nn.init.zeros_(module.weight)
            else:
                nn.init.normal_(module.weight, std=config.d_model**-0.5)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    with torch.no_grad():
        model.encoder.embed_tokens.weight[config.pad_token_id].zero_()
    return model.train()
