"""A scene as pixels, and what of each thing is to be seen in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from mue_model.corpus.backgrounds import background, bars, muted
from mue_model.corpus.draws import Draws
from mue_model.corpus.scene import Scene
from mue_model.corpus.sprites import Sprites

LEAST_VISIBLE = 0.6
"""Share of each thing's pixels that nothing in front of it covers."""
MOST_UNDER_A_BAR = 0.18
"""Share of a thing that one bar may cover: enough to disturb, too little to make it another thing."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """A painted scene."""

    image: Image.Image
    """RGB."""
    background: str
    """Kind of background."""
    boxes: tuple[Box, ...]
    """Left, upper, right and lower edge of each thing in pixels, the last two excluded, hidden parts included."""
    visible: tuple[float, ...]
    """Share of each thing's pixels that is to be seen."""


def paint(scene: Scene, sprites: Sprites, size: int, draws: Draws) -> Picture:
    """Paint a scene on a square of `size` pixels; its first thing is painted last."""
    image, kind = background(draws, scene.palette, size, cluttered=scene.cluttered)
    boxes: list[Box] = []
    masks: list[np.ndarray] = []
    for thing in reversed(scene.things):
        sprite = sprites.fitted(
            thing.picture, round(thing.side * size), colour=thing.colour, flip=thing.flip, angle=thing.angle
        )
        left, top = round(thing.x * size - sprite.width / 2), round(thing.y * size - sprite.height / 2)
        image.paste(sprite, (left, top), sprite)
        mask = Image.new("L", (size, size))
        mask.paste(sprite.getchannel("A"), (left, top))
        boxes.append((left, top, left + sprite.width, top + sprite.height))
        masks.append(np.asarray(mask) > 127)
    boxes.reverse()
    masks.reverse()
    cover = np.zeros((size, size), bool)
    for bar in bars(draws, scene.palette, size) if scene.cluttered else ():
        hidden = np.asarray(bar) > 127
        fill = muted(draws, scene.palette)
        if min(_visible(masks, cover | hidden)) >= LEAST_VISIBLE and all(
            (mask & hidden).sum() <= MOST_UNDER_A_BAR * mask.sum() for mask in masks
        ):
            image.paste(fill, mask=bar)
            cover |= hidden
    visible = tuple(round(share, 3) for share in _visible(masks, cover))
    return Picture(image, kind, tuple(boxes), visible)


def _visible(masks: list[np.ndarray], cover: np.ndarray) -> list[float]:
    """Return the share of each mask that is under neither `cover` nor an earlier mask."""
    shares = []
    for mask in masks:
        shares.append(float((mask & ~cover).sum() / max(1, mask.sum())))
        cover = cover | mask
    return shares
