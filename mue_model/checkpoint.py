"""Weights: published names to ours, strict both ways. Safetensors only; nothing is unpickled here.

Hugging Face OFA checkpoints and ours use the same names; `fairseq_name` maps those of fairseq `.pt` files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mue_model.brief import brief, cut
from mue_model.config import ModelConfig
from mue_model.model import MueModel, parameter_shapes
from mue_model.model_folder import WEIGHTS_FILE, ModelFolderError

EMBEDDING = "encoder.embed_tokens.weight"
TIED = ("decoder.embed_tokens.weight", "decoder.output_projection.weight")
"""Published copies of the token embedding; checked against it and dropped."""

# Index tables that follow from the configuration, counters and version marks.
_RECOMPUTED = re.compile(r"(^|\.)(token_rp_bucket|image_rp_bucket|image_position_idx|num_batches_tracked|version)$")
_IN_LAYER = re.compile(r"^(encoder|decoder)(\.layers\.\d+\.)(\w+)(\..+)$")
_FAIRSEQ = {
    "encoder": {"attn_ln": "self_attn_mid_layer_norm", "ffn_layernorm": "ffn_layer_norm"},
    "decoder": {
        "self_attn_ln": "self_attn_mid_layer_norm",
        "cross_attn_ln": "cross_attn_mid_layer_norm",
        "encoder_attn": "cross_attn",
        "encoder_attn_layer_norm": "cross_attn_layer_norm",
        "ffn_layernorm": "ffn_layer_norm",
    },
}
"""fairseq's names of the parts of a layer, and ours, where they differ."""
_OURS = {stack: {ours: theirs for theirs, ours in parts.items()} for stack, parts in _FAIRSEQ.items()}

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_SHOWN = 8
"""Most problems of one kind that a message names."""


def fairseq_name(name: str) -> str:
    """Return our name of a tensor in a fairseq checkpoint."""
    return _renamed(name, _FAIRSEQ)


def name_in_fairseq(name: str) -> str:
    """Return the name that a tensor of ours has in a fairseq checkpoint."""
    return _renamed(name, _OURS)


def _renamed(name: str, parts: Mapping[str, Mapping[str, str]]) -> str:
    match = _IN_LAYER.match(name)
    if match is None:
        return name
    stack, layer, part, rest = match.groups()
    return f"{stack}{layer}{parts[stack].get(part, part)}{rest}"


def parameter_count(shapes: Mapping[str, Sequence[int]]) -> int:
    """Return the number of trained values, given all shapes by name: BatchNorm's statistics are not trained."""
    return sum(prod(shape) for name, shape in shapes.items() if ".running_" not in name)


def match_tensors(
    config: ModelConfig, tensors: Mapping[str, Tensor], *, where: str, name_in_file: Callable[[str], str] = str
) -> dict[str, Tensor]:
    """Return exactly the tensors that a model of `config` has, or raise `ModelFolderError` naming the misfits.

    Index tables and version marks are dropped; tied copies of the token embedding must equal it. Tensors go by our
    names; `name_in_file` says how the user knows them.
    """

    def called(name: str) -> str:
        theirs = name_in_file(name)
        return cut(name) if theirs == name else f"{cut(name)} ({cut(theirs)} in the file)"

    kept = {name: tensor for name, tensor in tensors.items() if not _RECOMPUTED.search(name)}
    tied = {name: kept.pop(name) for name in TIED if name in kept}
    expected = parameter_shapes(config)
    common = [name for name in expected if name in kept]
    problems = [
        [f"missing tensor {called(name)} {expected[name]}" for name in expected if name not in kept],
        [f"unexpected tensor {called(name)} {brief(_shape(kept[name]))}" for name in kept if name not in expected],
        [
            f"tensor {called(name)} has shape {brief(_shape(kept[name]))}, the configuration asks for {expected[name]}"
            for name in common
            if _shape(kept[name]) != expected[name]
        ],
        [
            f"tensor {called(name)} holds {kept[name].dtype}, not floating-point numbers of 16, 32 or 64 bits"
            for name in common
            if kept[name].dtype not in _DTYPES
        ],
        [
            f"tensor {called(name)} differs from {EMBEDDING}, with which it is tied"
            for name, tensor in tied.items()
            if EMBEDDING in kept and not _equal(tensor, kept[EMBEDDING])
        ],
    ]
    if any(problems):
        lines = [line for kind in problems for line in _first_of(kind)]
        raise ModelFolderError(f"{where} does not fit its configuration: {'; '.join(lines)}")
    return {name: kept[name] for name in expected}


def check_finite(tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Raise `ModelFolderError` naming the tensors that hold infinities or NaN."""
    counts = {name: tensor.numel() - int(torch.isfinite(tensor).sum()) for name, tensor in tensors.items()}
    lines = [f"tensor {name} holds {count} values that are not finite" for name, count in counts.items() if count]
    if lines:
        raise ModelFolderError(f"{where} is damaged: {'; '.join(_first_of(lines))}")


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same values; NaN equals NaN, which is for `check_finite` to refuse."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a, b) or bool(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True))


def _first_of(lines: list[str]) -> list[str]:
    return lines[:_SHOWN] + ([f"and {len(lines) - _SHOWN} more of this kind"] if len(lines) > _SHOWN else [])


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
    """Write model.safetensors, each tensor in its own dtype."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    pointers = Counter(tensor.untyped_storage().data_ptr() for tensor in contiguous.values())
    for name, tensor in contiguous.items():
        if pointers[tensor.untyped_storage().data_ptr()] > 1:  # safetensors refuses tensors that share memory
            contiguous[name] = tensor.clone()
    path = folder / WEIGHTS_FILE
    path.touch()
    mode = path.stat().st_mode
    save_file(contiguous, path, metadata={"format": "pt"})
    path.chmod(mode)  # safetensors gives its file to the owner alone, whatever the umask
