from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mue_model.corpus.colours import COLOURS, tinted
from mue_model.corpus.sprites import Sprites


@pytest.mark.parametrize("picture", ["1F987", "1F411", "1F34E", "1F308"], ids=["dark", "white", "red", "many"])
def test_whatever_its_own_colours_a_picture_takes_the_one_asked_for(picture: str) -> None:
    image = Sprites(128).fitted(picture, 48, colour=None, flip=False, angle=0)
    pixels = np.asarray(image)
    for colour in COLOURS:
        out = tinted(pixels, colour).astype(int)
        filled = (out[..., 3] > 200) & (out[..., :3].max(-1) > 60)
        mean = out[filled][:, :3].mean(0)
        nearest = min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum()))
        assert nearest == colour


def test_outline_and_transparency_stay() -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (0, 0, 0, 255)
    pixels[1, 1] = (200, 200, 200, 120)
    out = tinted(pixels, "red")
    assert out[0, 0].tolist() == [0, 0, 0, 255]
    assert out[..., 3].tolist() == pixels[..., 3].tolist()


def test_colours_are_far_apart() -> None:
    for first, second in combinations(COLOURS.values(), 2):
        assert np.abs(np.subtract(first, second)).sum() > 100
