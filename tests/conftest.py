"""Shared fixtures: one torch thread, the shared material where it is present."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

if shutil.which("nvidia-smi") is None:
    # Before anything imports Triton: its kernels then run on the CPU, one program after another.
    os.environ["TRITON_INTERPRET"] = "1"
REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("MUE_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photo_shards() -> list[str]:
    """Four tars with 60 real photographs; the test skips where they are absent."""
    shards = sorted((SHARED / "corpus").glob("coco-*.tar"))
    if not shards:
        pytest.skip("no photographs at hand")
    return [str(shard) for shard in shards]


@pytest.fixture(scope="session")
def bpe_folder() -> Path:
    """OFA's published tokenizer data; the test skips where it is absent."""
    folder = SHARED / "bpe"
    if not (folder / "dict.txt").is_file():
        pytest.skip("no tokenizer data at hand")
    return folder
