"""Torch's pickled checkpoints, read without running anything in them: tensors and plain data, or an error.

This and `convert_fairseq` are the only places that look into a pickle, always by torch's `weights_only` reader.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mue_model.brief import brief, cut
from mue_model.model_folder import ModelFolderError
from mue_model.regular_file import MOST_BYTES, open_regular

Allowed = Callable[..., Any] | tuple[Callable[..., Any], str]
"""What a pickle may call besides tensors: a class, or a callable and the name that files know it by."""

_GLOBAL = re.compile(r"GLOBAL (\S+)")
_TORCH_PROTOCOL = b"\x02"
_ZIP = b"PK\x03\x04"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def load_pickled(path: Path, *, allowed: Sequence[Allowed] = ()) -> Any:
    """Return what a torch file holds, tensors mapped from the file where its format permits.

    Raises:
        ModelFolderError: the file cannot be read, or names a class or function that is neither torch's own for
            tensors nor among `allowed`; that one is named, and nothing has been called.
    """
    head = _checked_head(path)
    zipped = zipfile.is_zipfile(path)
    if not zipped and head.startswith(_ZIP):
        raise ModelFolderError(f"{path} is cut off: the end of its zip archive is missing; copy or download it again")
    if zipped:
        _check_zip(path)
    if head[:1] == pickle.PROTO and head[1:2] > _TORCH_PROTOCOL:
        raise ModelFolderError(f"{path} is a plain pickle, not written by torch.save; nothing in it was run")
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        found = _GLOBAL.search(str(error))
        if found is None:
            raise ModelFolderError(f"{path} cannot be read as a torch checkpoint: {_reason(error)}") from error
        raise ModelFolderError(
            f"{path} asks for {found[1]} to be called; only tensors and plain data are read. Nothing in it was run. "
            "Save its tensors alone, as safetensors or a plain state dict, if you trust it"
        ) from error
    except Exception as error:  # damaged bytes can break torch's reader anywhere
        raise ModelFolderError(f"{path} cannot be read as a torch checkpoint: {_reason(error)}") from error


def named_tensors(content: Any, *, where: str) -> dict[str, Tensor]:
    """Return `content` if it maps names to ordinary tensors, else raise `ModelFolderError` naming what does not."""
    if not isinstance(content, Mapping):
        raise ModelFolderError(f"{where} holds a {type(content).__name__}; expected tensors by name")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ModelFolderError(f"{where}: {brief(name)} is a {type(value).__name__}; expected tensors by name")
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            raise ModelFolderError(
                f"{where}: tensor {cut(name)} is sparse, quantized or without values; store it densely"
            )
    return dict(content)


def check_download(path: Path) -> None:
    """Raise `ModelFolderError` if `path` is no file that can be read, or git's stand-in for a large one."""
    _checked_head(path)


def _checked_head(path: Path) -> bytes:
    try:
        with open_regular(path) as stream:
            head = stream.read(64)
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read: {error.strerror or error}") from error
    if head.startswith(_LFS_POINTER):
        raise ModelFolderError(f"{path} is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder")
    return head


def _check_zip(path: Path) -> None:
    """Raise `ModelFolderError` where a small archive stands for much: torch stores its members as they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelFolderError(f"{path} cannot be read as a torch checkpoint: {error}") from error
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise ModelFolderError(f"{path}: {cut(member.filename)} in it is compressed, which torch.save never does")
        if member.filename.endswith("data.pkl") and member.file_size > MOST_BYTES:
            raise ModelFolderError(f"{path}: {cut(member.filename)} in it has more than {MOST_BYTES:,} bytes")


def _reason(error: Exception) -> str:
    """The first line of torch's message without its advice to load the file unsafely."""
    text = str(error).rpartition("WeightsUnpickler error: ")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
