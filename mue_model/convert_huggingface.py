"""Published Hugging Face folders of OFA: config.json and the weights, in any of four layouts."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mue_model.checkpoint import EMBEDDING, TIED
from mue_model.model_folder import CONFIG_FILE, ModelFolderError, read_config, read_json
from mue_model.pickled import check_download, load_pickled, named_tensors
from mue_model.published import Published

_LAYOUTS = (
    "model.safetensors",
    "pytorch_model.bin",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)
"""In order of preference: what cannot hold code first."""


def read_huggingface(folder: Path) -> Published:
    """Read a published folder; raise `ModelFolderError` naming the file and what is wrong with it."""
    path = folder / CONFIG_FILE
    if "streams" in read_json(path):
        raise ModelFolderError(f"{folder} is a model folder already (its {CONFIG_FILE} names streams): use it as it is")
    config = read_config(path)
    found = [name for name in _LAYOUTS if (folder / name).exists()]
    if not found:
        raise ModelFolderError(f"{folder} holds no weights: none of {', '.join(_LAYOUTS)} is there")
    weights = folder / found[0]
    files = [weights] if weights.suffix != ".json" else _shards(weights)
    tensors: dict[str, Tensor] = {}
    for file in files:
        for name, tensor in _read_weights(file).items():
            if name in tensors:
                raise ModelFolderError(f"{file}: tensor {name} is in another file of {weights.name} too")
            tensors[name] = tensor
    if weights.name.startswith("model.safetensors"):
        _name_embedding(tensors)
    return Published(
        kind="huggingface",
        config=config,
        tensors=tensors,
        files=(path, *dict.fromkeys([weights, *files])),
        notes=(f"read {weights.name}; left aside {', '.join(found[1:])}",) if found[1:] else (),
    )


def _shards(index: Path) -> list[Path]:
    """Return the files that an index names, all of them beside it."""
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise ModelFolderError(f"{index}: needs a 'weight_map' from tensor to file")
    shards = []
    for name in sorted({str(name) for name in names.values()}):
        if not name or name == ".." or name != Path(name).name:
            raise ModelFolderError(f"{index}: weight_map names {name!r}; expected the name of a file beside the index")
        shards.append(index.parent / name)
    return shards


def _read_weights(path: Path) -> dict[str, Tensor]:
    check_download(path)
    if path.suffix != ".safetensors":
        return named_tensors(load_pickled(path), where=str(path))
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelFolderError(f"{path} cannot be read as safetensors: {error}") from error


def _name_embedding(tensors: dict[str, Tensor]) -> None:
    """Safetensors stores tied tensors once, under any one of their names: give that one its first name."""
    for name in TIED:
        if EMBEDDING not in tensors and name in tensors:
            tensors[EMBEDDING] = tensors[name]
