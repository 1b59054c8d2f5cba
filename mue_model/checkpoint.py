"""Weights: published names to ours, strict both ways. Safetensors only; nothing is unpickled here.

Hugging Face OFA checkpoints and ours use the same names; `fairseq_name` maps those of fairseq `.pt` files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mue_model.config import ModelConfig
from mue_model.model import MueModel, parameter_shapes
from mue_model.model_folder import WEIGHTS_FILE, ModelFolderError

EMBEDDING = "encoder.embed_tokens.weight"
TIED = ("decoder.embed_tokens.weight", "decoder.output_projection.weight")
"""Published copies of the token embedding; checked against it and dropped."""

# Index tables that follow from the configuration, counters and version marks.
_RECOMPUTED = re.compile(r"(^|\.)(token_rp_bucket|image_rp_bucket|image_position_idx|num_batches_tracked|version)$")
_FAIRSEQ = [
    (re.compile(r"^(encoder\.layers\.\d+)\.attn_ln\."), r"\1.self_attn_mid_layer_norm."),
    (re.compile(r"^(decoder\.layers\.\d+)\.self_attn_ln\."), r"\1.self_attn_mid_layer_norm."),
    (re.compile(r"^(decoder\.layers\.\d+)\.cross_attn_ln\."), r"\1.cross_attn_mid_layer_norm."),
    (re.compile(r"^(decoder\.layers\.\d+)\.encoder_attn\."), r"\1.cross_attn."),
    (re.compile(r"^(decoder\.layers\.\d+)\.encoder_attn_layer_norm\."), r"\1.cross_attn_layer_norm."),
    (re.compile(r"^((?:en|de)coder\.layers\.\d+)\.ffn_layernorm\."), r"\1.ffn_layer_norm."),
]
_SHOWN = 8


def fairseq_name(name: str) -> str:
    """Return our name of a tensor in a fairseq checkpoint."""
    for pattern, replacement in _FAIRSEQ:
        name = pattern.sub(replacement, name)
    return name


def match_tensors(config: ModelConfig, tensors: Mapping[str, Tensor], *, where: str) -> dict[str, Tensor]:
    """Return exactly the tensors that a model of `config` has, or raise `ModelFolderError` naming every misfit.

    Index tables and version marks are dropped; tied copies of the token embedding must equal it.
    """
    kept = {name: tensor for name, tensor in tensors.items() if not _RECOMPUTED.search(name)}
    tied = {name: kept.pop(name) for name in TIED if name in kept}
    expected = parameter_shapes(config)
    problems = [f"missing tensor {name} {expected[name]}" for name in expected if name not in kept]
    problems += [f"unexpected tensor {name} {tuple(kept[name].shape)}" for name in kept if name not in expected]
    for name, shape in expected.items():
        if name in kept and tuple(kept[name].shape) != shape:
            problems.append(f"tensor {name} has shape {tuple(kept[name].shape)}, the configuration asks for {shape}")
        elif name in kept and not kept[name].is_floating_point():
            problems.append(f"tensor {name} holds {kept[name].dtype}, not floating-point numbers")
    for name, tensor in tied.items():
        if EMBEDDING in kept and not torch.equal(tensor, kept[EMBEDDING]):
            problems.append(f"tensor {name} differs from {EMBEDDING}, with which it is tied")
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ModelFolderError(f"{where} does not fit its configuration: {'; '.join(problems[:_SHOWN])}{more}")
    return {name: kept[name] for name in expected}


def build_model(config: ModelConfig, tensors: Mapping[str, Tensor]) -> MueModel:
    """Return a model in evaluation mode that holds `tensors` (as `match_tensors` returns them), not copies."""
    with torch.device("meta"):
        model = MueModel(config)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_buffer("num_batches_tracked", torch.tensor(0))
    model.load_state_dict(dict(tensors), strict=False, assign=True)
    left = [name for name, tensor in model.state_dict().items() if tensor.is_meta]
    if left:
        raise AssertionError(f"tensors left without values: {left}")
    return model.eval().requires_grad_(False)


def load_weights(folder: Path, config: ModelConfig) -> dict[str, Tensor]:
    """Read model.safetensors strictly; raise `ModelFolderError` naming each missing, extra or misshapen tensor."""
    path = folder / WEIGHTS_FILE
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelFolderError(f"{path} cannot be read as safetensors: {error}") from error
    return match_tensors(config, tensors, where=str(path))


def save_weights(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write model.safetensors; the token embedding is stored once."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, folder / WEIGHTS_FILE, metadata={"format": "pt"})
