"""No pickle ever runs: what would is named, and damaged files say so."""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mue_model.convert import convert
from mue_model.convert_fairseq import ALLOWED, read_fairseq
from mue_model.model_folder import ModelFolderError
from mue_model.pickled import check_download, load_pickled, named_tensors
from mue_model.regular_file import MOST_BYTES

PLAIN = "is a plain pickle, not written by torch.save; nothing in it was run"


class Touch:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


class System:
    """Runs a command when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (f"touch {self.path}",)


def save(content: Any, path: Path, form: str) -> None:
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize(("attack", "named"), [(Touch, r"\w+\.open"), (System, r"posix\.system")])
def test_code_in_a_pickle_is_named_and_not_run(form: str, attack: Any, named: str, tmp_path: Path) -> None:
    (tmp_path / "OFA").mkdir()
    (tmp_path / "OFA" / "config.json").write_text(
        '{"model_type": "ofa", "vocab_size": 9, "d_model": 4, "encoder_layers": 1, "decoder_layers": 1, '
        '"encoder_attention_heads": 1, "decoder_attention_heads": 1, "encoder_ffn_dim": 4, "decoder_ffn_dim": 4}'
    )
    harmless = {"x": torch.ones(2)}
    save({**harmless, "y": attack(tmp_path / "run")}, tmp_path / "OFA" / "pytorch_model.bin", form)
    save({"model": harmless, "args": attack(tmp_path / "run")}, tmp_path / "evil.pt", form)
    for source in ("OFA", "evil.pt"):
        with pytest.raises(ModelFolderError, match=PLAIN if form == "pickle" else rf"asks for {named} to be called"):
            convert(tmp_path / source, tmp_path / "out", tokenizer=tmp_path)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "out").exists()


def test_the_attack_is_one_where_pickles_are_loaded_freely(tmp_path: Path) -> None:
    """So that the test above tests something."""
    save({"y": System(tmp_path / "run")}, tmp_path / "evil.pt", "zip")
    code = "import sys, torch; torch.load(sys.argv[1], weights_only=False)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "evil.pt")], check=True)
    assert (tmp_path / "run").exists()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_what_fairseq_files_hold_is_read_as_it_was(form: str, tmp_path: Path) -> None:
    content = {
        "model": {"a": torch.arange(6).view(2, 3), "b": torch.ones(2).half()},
        "args": argparse.Namespace(encoder_layers=4, lr=[0.1], inner=argparse.Namespace(x=None)),
        "extra_state": [np.float64(0.5), np.float32(0.25), np.int64(7), np.bool_(True), "text", (1, 2)],
    }
    save(content, tmp_path / "file.pt", form)
    read = load_pickled(tmp_path / "file.pt", allowed=ALLOWED)
    assert read["args"] == content["args"]
    assert read["extra_state"] == content["extra_state"]
    assert all(torch.equal(read["model"][name], tensor) for name, tensor in content["model"].items())
    with pytest.raises(ModelFolderError, match=r"asks for argparse\.Namespace to be called"):
        load_pickled(tmp_path / "file.pt")


@pytest.mark.parametrize("kept", [0, 1, 10, 300, -1])
def test_a_truncated_file_is_refused_without_advice_to_load_it_unsafely(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    torch.save({"model": {"a": torch.ones(100)}}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelFolderError, match=r"file\.pt (is cut off|cannot be read as a torch checkpoint)") as raised:
        load_pickled(path)
    assert "weights_only" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_git_lfs_pointer_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "utf-8")
    with pytest.raises(ModelFolderError, match="is a Git LFS pointer, not the file itself; run `git lfs pull`"):
        load_pickled(path)


def bomb() -> Any:
    """A list that is short, and whose text would fill any memory."""
    found: Any = ["x"] * 9
    for _ in range(30):
        found = [found] * 9
    return found


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"a": torch.ones(1)}, "args": argparse.Namespace(activation_fn=bomb())},
        {"model": {"a": torch.ones(1)}, "args": argparse.Namespace(resnet_type=argparse.Namespace(a=bomb()))},
        {"model": {"a": torch.ones(1)}, "args": argparse.Namespace(activation_fn="x" * 3_000_000)},
        {"model": {"n" * 3_000_000: 1}},
        {"k" * 3_000_000: 1},
        dict.fromkeys(range(100_000)),
    ],
    ids=["lists", "namespace", "text", "name", "key", "keys"],
)
def test_no_file_makes_an_endless_message(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(ModelFolderError) as raised:
        read_fairseq(tmp_path / "file.pt", "joint")
    assert len(str(raised.value)) < 2000


def test_an_archive_that_stands_for_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("file/data.pkl", bytes(1 << 20))
    with pytest.raises(ModelFolderError, match=r"file/data\.pkl in it is compressed, which torch\.save never does"):
        load_pickled(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("file/data.pkl", bytes(MOST_BYTES + 1))
    with pytest.raises(ModelFolderError, match=r"file/data\.pkl in it has more than 67,108,864 bytes"):
        load_pickled(path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_waited_for(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(ModelFolderError, match=f"{name} cannot be read: is not a regular file"):
        check_download(path)
    with pytest.raises(ModelFolderError, match=f"{name} cannot be read: is not a regular file"):
        load_pickled(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"none\.pt cannot be read: No such file"):
        load_pickled(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1], "x holds a list; expected tensors by name"),
        ({"a": [1]}, "'a' is a list"),
        ({1: torch.ones(1)}, "1 is a Tensor"),
        ({"a": torch.ones(2, 2).to_sparse()}, "tensor a is sparse"),
        ({"a": torch.empty(2, device="meta")}, "tensor a is sparse, quantized or without values"),
    ],
)
def test_what_is_no_tensor_is_named(content: Any, said: str) -> None:
    with pytest.raises(ModelFolderError, match=said):
        named_tensors(content, where="x")
