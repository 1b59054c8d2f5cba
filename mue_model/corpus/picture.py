"""A scene as pixels, and what of each thing is to be seen in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from mue_model.corpus.backgrounds import background, bars, muted
from mue_model.corpus.draws import Draws
from mue_model.corpus.scene import Scene
from mue_model.corpus.sprites import Sprites

LEAST_VISIBLE = 0.65
"""Share of each thing's pixels that nothing in front of it may cover."""
LEAST_VISIBLE_ABOVE = 0.75
"""The same for its upper part: there are the heads, stems and lids without which an apple is as good as a tomato."""
_UPPER = 0.4
"""How much of a thing's height is its upper part."""
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
    clear_of_things: tuple[float, ...]
    """Share of each thing's pixels that no other thing covers; bars may."""
    fault: float
    """By how much a thing is hidden more than it may be; 0 or less where all are plain to see."""


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
    uppers = [_upper(mask, top, bottom) for mask, (_, top, _, bottom) in zip(masks, boxes, strict=True)]
    cover = np.zeros((size, size), bool)
    clear_of_things = tuple(_visible(masks, masks, cover))
    for bar in bars(draws, scene.palette, size) if scene.cluttered else ():
        hidden = np.asarray(bar) > 127
        fill = muted(draws, scene.palette)
        if _fault(masks, uppers, cover | hidden) <= 0 and all(
            (mask & hidden).sum() <= MOST_UNDER_A_BAR * mask.sum() for mask in masks
        ):
            image.paste(fill, mask=bar)
            cover |= hidden
    visible = tuple(round(share, 3) for share in _visible(masks, masks, cover))
    return Picture(image, kind, tuple(boxes), visible, clear_of_things, _fault(masks, uppers, cover))


def _upper(mask: np.ndarray, top: int, bottom: int) -> np.ndarray:
    """Return the part of a mask that lies in the upper part of its box."""
    part = mask.copy()
    part[max(0, round(top + _UPPER * (bottom - top))) :] = False
    return part


def _fault(masks: list[np.ndarray], uppers: list[np.ndarray], cover: np.ndarray) -> float:
    """Return by how much the thing that is hidden most is hidden too much."""
    whole, upper = min(_visible(masks, masks, cover)), min(_visible(uppers, masks, cover))
    return max(LEAST_VISIBLE - whole, LEAST_VISIBLE_ABOVE - upper)


def _visible(parts: list[np.ndarray], masks: list[np.ndarray], cover: np.ndarray) -> list[float]:
    """Return the share of each thing's part that is under neither `cover` nor the mask of an earlier thing."""
    shares = []
    for part, mask in zip(parts, masks, strict=True):
        shares.append(float((part & ~cover).sum() / max(1, part.sum())))
        cover = cover | mask
    return shares
