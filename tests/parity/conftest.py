"""The published implementations' inputs and outputs, and our models with the same weights.

Every `*.npz` of `tests/fixtures`, and of the folder named by MUE_FIXTURES, is tried. Sizes are read from the
arrays; those that no array shows (heads, inner width, stem) are found by trying.
"""

from __future__ import annotations

import itertools
import os
import re
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mue_model import full_depth
from mue_model.checkpoint import build_model
from mue_model.config import ModelConfig, Quirks
from mue_model.model import MueModel, parameter_shapes

OURS = Path(__file__).resolve().parent.parent / "fixtures"
FOLDERS = {OURS, Path(os.environ.get("MUE_FIXTURES", OURS))}
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*.npz"))
STEMS, HEADS, INNER_PER_WIDTH = (
    ("resnet50", "resnet101", "resnet152", "light"),
    (4, 2, 8, 1, 16, 3, 6, 12),
    (2, 4, 1, 3),
)


@dataclass(frozen=True)
class Published:
    """Arrays of one case of a file, by their names within the case."""

    path: Path
    case: str

    def __getitem__(self, key: str) -> Tensor:
        """An array, its batch first: the MuE files have the sequence first in encoder states."""
        array = arrays_of(self.path)[f"{self.case}.{key}"]
        return array.transpose(0, 1) if self.case.startswith("mue") and re.match(r"enc$|txt_h", key) else array

    def count(self, pattern: str) -> int:
        """How many arrays of the case have such a name."""
        return sum(re.fullmatch(re.escape(f"{self.case}.") + pattern, key) is not None for key in arrays_of(self.path))

    @property
    def ids(self) -> Tensor:
        """The prompts [N, T], padded as the case is."""
        padded = not self.case.startswith("mue") and bool(self["enc_padmask"].any())
        return arrays_of(self.path)["ids_pad" if padded else "ids"][: self.rows]

    @property
    def images(self) -> Tensor | None:
        """The normalised images [N, 3, H, W], where the case has any."""
        return arrays_of(self.path)["img"][: self.rows] if self["enc"].shape[1] > self.ids.shape[1] else None

    @property
    def target(self) -> Tensor:
        """The teacher-forced ids [N, T]."""
        return arrays_of(self.path)["dec"][: self.rows]

    @property
    def rows(self) -> int:
        return self["enc"].shape[0]

    @property
    def model(self) -> MueModel:
        """The model that has the file's weights."""
        return mue_model(self.path) if self.case.startswith("mue") else ofa_model(self.path)

    @property
    def full(self) -> Published:
        """The full-depth pass of a MuE file."""
        return Published(self.path, "mue.full")

    @property
    def points(self) -> list[Published]:
        """All threshold points of the file."""
        return [case for case in cases(".exit") if case.path == self.path]

    @property
    def thresholds(self) -> dict[str, float]:
        """Thresholds of a point `mue.i{image}.t{text}.d{decoder}`."""
        image, text, decoder = re.fullmatch(r"mue\.i(.+)\.t(.+)\.d(.+)", self.case).groups()  # type: ignore[union-attr]
        return {"image": float(image), "text": float(text), "decoder": float(decoder)}


@cache
def arrays_of(path: Path) -> dict[str, Tensor]:
    with np.load(path) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def cases(suffix: str) -> list[Published]:
    """The cases of all files that have an array of this name."""
    found = [(path, key) for path in FILES for key in arrays_of(path) if key.endswith(suffix)]
    return [Published(path, key.removesuffix(suffix)) for path, key in found]


@cache
def seeded_weight(folder: Path) -> Callable[[str, tuple[int, ...]], np.ndarray]:
    return cache(runpy.run_path(str(folder / "seeded_weights.py"))["seeded_weight"])


def first_that_fits(case: Published, **sizes: Any) -> MueModel:
    """The seeded model with the published memory; where none has it, that of the files' usual sizes."""
    usual = None
    for stem, heads, inner in itertools.product(STEMS, HEADS, INNER_PER_WIDTH):
        if sizes["d_model"] % heads:
            continue
        config = ModelConfig(
            **sizes,
            resnet_type=stem,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=inner * sizes["d_model"],
            decoder_ffn_dim=inner * sizes["d_model"],
        )
        weight = seeded_weight(case.path.parent)
        shapes = parameter_shapes(config).items()
        model = build_model(config, {name: torch.from_numpy(weight(name, shape)) for name, shape in shapes})
        usual = usual or model
        memory = full_depth.encode_batch(model, case.images, case.ids).memory
        if memory.shape == case["enc"].shape and torch.allclose(memory, case["enc"], atol=1e-3):
            return model
    assert usual is not None
    return usual


@cache
def ofa_model(path: Path) -> MueModel:
    case = next(case for case in cases(".enc_h0") if case.path == path and case.images is not None)
    return first_that_fits(
        case,
        vocab_size=case["logits"].shape[-1],
        d_model=case["enc"].shape[-1],
        encoder_layers=case.count(r"enc_h[1-9]\d*"),
        decoder_layers=case.count(r"dec_h[1-9]\d*"),
    )


@cache
def mue_model(path: Path) -> MueModel:
    case = Published(path, "mue")
    full = case.full
    return first_that_fits(
        full,
        vocab_size=full["logits"].shape[-1],
        d_model=full["enc"].shape[-1],
        encoder_layers=case.count(r"txt_h[1-9]\d*"),
        decoder_layers=case.count(r"train_logits_l\d+"),
        streams="decomposed",
        quirks=Quirks(drop_image_rel_bias=True),
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per case of every file: `ofa` cases, `mue` files, `point`s of thresholds."""
    parameters = {"ofa": cases(".enc_h0"), "mue": cases(".txt_h0"), "point": cases(".exit")}
    for name in parameters.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, parameters[name], ids=[f"{c.path.stem}-{c.case}" for c in parameters[name]])


@pytest.fixture(autouse=True)
def _no_gradients() -> Any:
    with torch.no_grad():
        yield


@pytest.fixture(scope="session")
def close() -> Callable[[Tensor, Tensor], bool]:
    """Whether our tensor has the published shape and is within the parity bound of 1e-4."""

    def compare(ours: Tensor, published: Tensor) -> bool:
        return ours.shape == published.shape and float((ours - published).abs().max()) < 1e-4

    return compare
