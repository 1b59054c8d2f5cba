"""All four layouts of a published folder's weights are read, and the file at fault is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mue_model.config import ModelConfig
from mue_model.convert_huggingface import read_huggingface
from mue_model.model_folder import ModelFolderError

TENSORS = {
    "encoder.embed_tokens.weight": torch.arange(8.0).view(2, 4),
    "encoder.layer_norm.weight": torch.ones(4),
    "decoder.layer_norm.weight": torch.zeros(4),
}
PARTS = [dict(list(TENSORS.items())[:1]), dict(list(TENSORS.items())[1:])]


@pytest.fixture
def folder(tmp_path: Path, small_config: Callable[..., ModelConfig]) -> Path:
    sizes = small_config().model_dump(mode="json", exclude={"streams", "quirks"})
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "ofa", **sizes}), "utf-8")
    return tmp_path


def save(tensors: dict[str, Tensor], path: Path) -> None:
    (save_file if path.suffix == ".safetensors" else torch.save)(tensors, path)


def save_parts(folder: Path, suffix: str, parts: list[dict[str, Tensor]], index: dict[str, Any] | None = None) -> None:
    names = [f"part-{number}{suffix}" for number in range(len(parts))]
    weight_map = {name: file for file, part in zip(names, parts, strict=True) for name in part}
    for file, part in zip(names, parts, strict=True):
        save(part, folder / file)
    whole = "model.safetensors" if suffix == ".safetensors" else "pytorch_model.bin"
    document = {"weight_map": weight_map} if index is None else index
    (folder / f"{whole}.index.json").write_text(json.dumps(document), "utf-8")


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("whole", [True, False])
def test_every_layout_is_read(folder: Path, suffix: str, whole: bool, small_config: Any) -> None:
    name = "model.safetensors" if suffix == ".safetensors" else "pytorch_model.bin"
    if whole:
        save(TENSORS, folder / name)
    else:
        save_parts(folder, suffix, PARTS)
    published = read_huggingface(folder)
    assert (published.kind, published.config, published.notes) == ("huggingface", small_config(), ())
    assert published.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(published.tensors[name], tensor) for name, tensor in TENSORS.items())
    read = [name] if whole else [f"{name}.index.json", f"part-0{suffix}", f"part-1{suffix}"]
    assert [path.name for path in published.files] == ["config.json", *read]


def test_safetensors_is_preferred_and_that_is_said(folder: Path) -> None:
    save(TENSORS, folder / "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"never opened")
    assert read_huggingface(folder).notes == ("read model.safetensors; left aside pytorch_model.bin",)


def test_the_embedding_may_have_any_of_its_names_in_safetensors(folder: Path) -> None:
    renamed = {"decoder.output_projection.weight": TENSORS["encoder.embed_tokens.weight"], **PARTS[1]}
    save(renamed, folder / "model.safetensors")
    found = read_huggingface(folder).tensors["encoder.embed_tokens.weight"]
    assert torch.equal(found, TENSORS["encoder.embed_tokens.weight"])


@pytest.mark.parametrize("file", ["../outside.bin", "/etc/passwd", "..", "sub/part.bin", ""])
def test_an_index_may_not_point_elsewhere(folder: Path, file: str) -> None:
    save_parts(folder, ".bin", PARTS, {"weight_map": {"a": file}})
    with pytest.raises(ModelFolderError, match="expected the name of a file beside the index"):
        read_huggingface(folder)


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {}}])
def test_an_index_without_a_map_is_named(folder: Path, index: dict[str, Any]) -> None:
    save_parts(folder, ".bin", PARTS, index)
    with pytest.raises(ModelFolderError, match=r"index\.json: needs a 'weight_map'"):
        read_huggingface(folder)


def test_a_tensor_in_two_files_and_a_missing_file_are_named(folder: Path) -> None:
    index = {"weight_map": {"a": "part-0.bin", "b": "part-1.bin"}}
    save_parts(folder, ".bin", [PARTS[0], TENSORS], index)
    with pytest.raises(ModelFolderError, match=r"part-1\.bin: tensor encoder\.embed_tokens\.weight is in another file"):
        read_huggingface(folder)
    (folder / "part-1.bin").unlink()
    with pytest.raises(ModelFolderError, match=r"part-1\.bin cannot be read: No such file"):
        read_huggingface(folder)


def test_a_truncated_safetensors_file_is_named(folder: Path) -> None:
    save(TENSORS, folder / "model.safetensors")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelFolderError, match=r"model\.safetensors cannot be read as safetensors"):
        read_huggingface(folder)


def test_a_folder_without_weights_says_what_was_looked_for(folder: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"holds no weights: none of model\.safetensors, pytorch_model\.bin"):
        read_huggingface(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelFolderError, match=r"config\.json is missing"):
        read_huggingface(folder)
