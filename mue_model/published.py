"""A published checkpoint as read, before it is checked against its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from mue_model.config import ModelConfig

Kind = Literal["huggingface", "fairseq"]


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a Hugging Face folder or a fairseq file says: configuration and tensors, under our names."""

    kind: Kind
    config: ModelConfig
    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...]
    """What configuration and tensors were read from."""
    notes: tuple[str, ...] = ()
    """What a user should know about how it was read."""
    name_in_file: Callable[[str], str] = str
    """The name that a tensor of ours has in the file."""
