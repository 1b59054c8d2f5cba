from __future__ import annotations

import numpy as np
import pytest

from mue_model.corpus.backgrounds import QUIET, background
from mue_model.corpus.draws import Draws
from mue_model.corpus.families import scene_of
from mue_model.corpus.picture import paint
from mue_model.corpus.scene import Scene, Thing
from mue_model.corpus.settings import CorpusSettings
from mue_model.corpus.sprites import Sprites

SIZE = 128


@pytest.fixture(scope="module")
def sprites() -> Sprites:
    return Sprites(SIZE)


def scene_with(*things: Thing) -> Scene:
    return Scene("train", "seen", 4, "overlap", things, 0, False)


def ball(x: float, y: float, colour: str) -> Thing:
    return Thing("tangerine", "1F34A", colour, None, x, y, 0.4, False, 0.0)


def test_the_first_thing_is_in_front_and_hidden_parts_are_counted(sprites: Sprites) -> None:
    picture = paint(scene_with(ball(0.4, 0.5, "red"), ball(0.55, 0.5, "blue")), sprites, SIZE, Draws("front"))
    assert picture.visible[0] == 1.0
    assert 0.3 < picture.visible[1] < 0.7
    pixel = picture.image.getpixel((int(0.47 * SIZE), int(0.5 * SIZE)))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 150 > pixel[2]


def test_boxes_are_where_the_pixels_are(sprites: Sprites) -> None:
    with_ball = paint(scene_with(ball(0.3, 0.6, "green")), sprites, SIZE, Draws("box"))
    without, _ = background(Draws("box"), 0, SIZE, cluttered=False)
    differs = np.abs(np.asarray(with_ball.image).astype(int) - np.asarray(without)).sum(-1) > 60
    rows, columns = np.nonzero(differs)
    left, top, right, bottom = with_ball.boxes[0]
    assert abs(columns.min() - left) <= 1
    assert abs(columns.max() + 1 - right) <= 1
    assert abs(rows.min() - top) <= 1
    assert abs(rows.max() + 1 - bottom) <= 1


def test_bars_hide_little(sprites: Sprites) -> None:
    settings = CorpusSettings(levels=(5,))
    touched = 0
    for number in range(60):
        scene = scene_of(settings, "train", number)
        if scene.family == "overlap":
            continue
        visible = paint(scene, sprites, SIZE, Draws("bars", number)).visible
        assert min(visible) >= 0.65
        touched += min(visible) < 0.95
    assert touched > 10


def test_a_bar_in_front_of_a_thing_is_no_thing_in_front_of_it(sprites: Sprites) -> None:
    """Or a caption would put apart what stands apart "in front of" each other."""
    apart, barred = (ball(0.25, 0.25, "red"), ball(0.75, 0.75, "blue")), 0
    for number in range(30):
        scene = Scene("train", "seen", 5, "overlap", apart, 0, True)
        picture = paint(scene, sprites, SIZE, Draws("barred", number))
        assert picture.clear_of_things == (1.0, 1.0)
        barred += min(picture.visible) < 0.95
    assert barred > 3


def test_backgrounds_are_quiet_or_cluttered_and_never_strong() -> None:
    kinds = set()
    for number in range(40):
        for cluttered in (False, True):
            image, kind = background(Draws("behind", number), number % 30, SIZE, cluttered=cluttered)
            pixels = np.asarray(image).astype(int)
            saturation = (pixels.max(-1) - pixels.min(-1)) / pixels.max(-1)
            assert saturation.max() < 0.4, "a thing's colour would not stand out"
            assert pixels.max(-1).min() > 120, "a thing's outline would not stand out"
            assert (kind == "clutter") == cluttered
            kinds.add(kind)
    assert kinds == {*QUIET, "clutter"}
