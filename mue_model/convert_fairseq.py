"""fairseq's `.pt` files of OFA and MuE: weights under `model`, sizes read off their shapes.

The arguments of the training run, where the file holds them, must agree with the shapes; they also say what no
shape shows.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mue_model.brief import brief, cut
from mue_model.checkpoint import EMBEDDING, fairseq_name, name_in_fairseq
from mue_model.config import RESNETS, ConfigError, ModelConfig, Streams, parse_config
from mue_model.model_folder import ModelFolderError
from mue_model.pickled import Allowed, load_pickled, named_tensors
from mue_model.published import Published

_NUMPY_SCALAR: Any = np.float64(0).__reduce__()[0]
# The arguments of the run, and the numpy scalars that its progress meters may have left: plain data, all of them.
ALLOWED: list[Allowed] = [
    argparse.Namespace,
    np.dtype,
    *[type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64", "bool")],
    *[(_NUMPY_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")],
]

_ARGUMENTS = {
    "encoder_embed_dim": "d_model",
    "decoder_embed_dim": "d_model",
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "encoder_attention_heads": "encoder_attention_heads",
    "decoder_attention_heads": "decoder_attention_heads",
    "encoder_ffn_embed_dim": "encoder_ffn_dim",
    "decoder_ffn_embed_dim": "decoder_ffn_dim",
    "max_source_positions": "max_position_embeddings",
    "max_target_positions": "max_position_embeddings",
    "token_bucket_size": "token_bucket_size",
    "image_bucket_size": "image_bucket_size",
    "resnet_type": "resnet_type",
}
"""fairseq's name of each size that the shapes show too, and ours."""

_IMPLEMENTED: dict[str, Any] = {
    "activation_fn": "gelu",
    "cross_self_attention": False,
    "decoder_normalize_before": True,
    "encoder_normalize_before": True,
    "entangle_position_embedding": False,
    "interpolate_position": False,
    "no_scale_embedding": True,
    "use_ofasys": False,
}
"""What no shape shows."""


def read_fairseq(path: Path, streams: Streams) -> Published:
    """Read a fairseq checkpoint; raise `ModelFolderError` naming what is wrong with it.

    A decomposed one was trained by MuE's published code, so it gets the quirk of that code that changes results.
    """
    content = load_pickled(path, allowed=ALLOWED)
    if not isinstance(content, Mapping) or "model" not in content:
        held = brief(list(content)) if isinstance(content, Mapping) else type(content).__name__
        raise ModelFolderError(f"{path} is no fairseq checkpoint: it has no entry 'model', only {held}")
    tensors: dict[str, Tensor] = {}
    for name, tensor in named_tensors(content["model"], where=f"{path}: model").items():
        if fairseq_name(name) in tensors:
            raise ModelFolderError(f"{path}: tensor {cut(fairseq_name(name))} is there twice, once as {cut(name)}")
        tensors[fairseq_name(name)] = tensor
    arguments, notes = _arguments(content), []
    if not arguments:
        notes.append(
            "the file holds no arguments of its training run; all settings come from the shapes of its tensors"
        )
    for key, value in _IMPLEMENTED.items():
        if arguments.get(key) not in (None, value):
            raise ModelFolderError(f"{path}: {key} = {brief(arguments[key])} is not implemented, only {value!r} is")
    if arguments.get("resnet_type") not in (None, *RESNETS):
        raise ModelFolderError(
            f"{path}: resnet_type = {brief(arguments['resnet_type'])} is not implemented, only {', '.join(RESNETS)} are"
        )
    sizes = infer_sizes(tensors, where=str(path))
    for key, ours in _ARGUMENTS.items():
        if arguments.get(key) not in (None, sizes[ours]):
            raise ModelFolderError(
                f"{path}: its arguments say {key} = {brief(arguments[key])}, but its tensors have {sizes[ours]!r}"
            )
    scale = arguments.get("attn_scale_factor", 2.0)
    settings = {**sizes, "attn_scale_factor": scale, "streams": streams}
    if streams == "decomposed":
        settings["quirks"] = {"drop_image_rel_bias": True}
        notes.append(
            "quirk drop_image_rel_bias is on, as in the published MuE code that trained this checkpoint; "
            "if yours was trained without it, set it to false in config.json"
        )
    try:
        config = parse_config(ModelConfig, settings, where=str(path))
    except ConfigError as error:
        raise ModelFolderError(str(error)) from error
    return Published(
        kind="fairseq",
        config=config,
        tensors=tensors,
        files=(path,),
        notes=tuple(notes),
        name_in_file=name_in_fairseq,
    )


def _arguments(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's arguments: `args` of older files, `cfg.model` of newer ones."""
    found: Any = content.get("args")
    if found is None:
        found = _plain(content.get("cfg")).get("model")
    return _plain(found)


def _plain(settings: Any) -> dict[str, Any]:
    if isinstance(settings, argparse.Namespace):
        return vars(settings)
    return dict(settings) if isinstance(settings, Mapping) else {}


def infer_sizes(tensors: Mapping[str, Tensor], *, where: str) -> dict[str, Any]:
    """Return the sizes of a `ModelConfig` that shapes show; raise `ModelFolderError` naming the tensor that does not.

    Only what decides a size is looked at; whether all other tensors fit is for `checkpoint.match_tensors` to say.
    """

    def rows(name: str) -> int:
        if name not in tensors:
            raise ModelFolderError(f"{where}: missing tensor {_both(name)}, whose shape fixes the model's size")
        if tensors[name].dim() == 0:
            raise ModelFolderError(f"{where}: tensor {_both(name)} is a single number, not a table or a vector")
        return tensors[name].shape[0]

    sizes: dict[str, Any] = {"vocab_size": rows(EMBEDDING), "d_model": rows("encoder.layer_norm.weight")}
    for stack in ("encoder", "decoder"):
        sizes[f"{stack}_layers"] = len(_numbers(tensors, rf"{stack}\.layers\.(\d+)\."))
        sizes[f"{stack}_attention_heads"] = rows(f"{stack}.layers.0.self_attn.c_attn")
        sizes[f"{stack}_ffn_dim"] = rows(f"{stack}.layers.0.fc1.bias")
    sizes["max_position_embeddings"] = rows("encoder.embed_positions.weight") - 2
    sizes["token_bucket_size"] = (rows("encoder.token_rel_pos_table_list.0.weight") + 1) // 2
    sizes["image_bucket_size"] = math.isqrt(max(0, rows("encoder.embed_image_positions.weight") - 1))
    stages = [len(_numbers(tensors, rf"encoder\.embed_images\.layer{stage}\.(\d+)\.")) for stage in (1, 2, 3)]
    stem = tuple(stages), rows("encoder.embed_images.conv1.weight")
    known = {shape: name for name, shape in RESNETS.items()}
    if stem not in known:
        raise ModelFolderError(
            f"{where}: its stem has {' + '.join(map(str, stages))} blocks from width {stem[1]} on; implemented are "
            + ", ".join(
                f"{name} ({' + '.join(map(str, blocks))}, {width})" for name, (blocks, width) in RESNETS.items()
            )
        )
    return {**sizes, "resnet_type": known[stem]}


def _numbers(tensors: Mapping[str, Tensor], pattern: str) -> set[int]:
    """Return the numbers that `pattern` finds at the start of names."""
    return {int(match[1]) for name in tensors if (match := re.match(pattern, name))}


def _both(name: str) -> str:
    return name if name_in_fairseq(name) == name else f"{name} ({name_in_fairseq(name)} in fairseq)"
