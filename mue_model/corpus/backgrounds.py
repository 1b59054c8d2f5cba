"""What stands behind the things: quiet on most levels, cluttered on the hardest. Nothing in it has a name."""

from __future__ import annotations

import colorsys
import math

from PIL import Image, ImageDraw

from mue_model.corpus.draws import Draws
from mue_model.corpus.partition import PALETTES

Rgb = tuple[int, int, int]

QUIET = ("solid", "gradient", "stripes", "dots")
_OVERSAMPLE = 2
"""Drawn so much larger and shrunk: Pillow draws without smoothing."""


def background(draws: Draws, palette: int, size: int, *, cluttered: bool) -> tuple[Image.Image, str]:
    """Return a background of `size` x `size` pixels in the colours of a palette, and the name of its kind."""
    side = size * _OVERSAMPLE
    kind = "clutter" if cluttered else draws.pick(QUIET)
    image = Image.new("RGB", (side, side), _light(palette, 0.08))
    if kind == "gradient":
        image = _gradient(draws, palette, side)
    elif kind != "solid":
        {"stripes": _stripes, "dots": _dots, "clutter": _clutter}[kind](ImageDraw.Draw(image), draws, palette, side)
    return image.resize((size, size), Image.Resampling.BOX), kind


def bars(draws: Draws, palette: int, size: int) -> list[Image.Image]:
    """Return masks of thin bars right across the picture, to stand in front of things."""
    found = []
    for _ in range(draws.integer(1, 2)):
        mask = Image.new("L", (size, size), 0)
        x, angle = draws.uniform(0.1, 0.9) * size, draws.uniform(-0.5, 0.5)
        reach = size * math.tan(angle) / 2
        ends = [(x - reach, -2.0), (x + reach, size + 2.0)]
        if draws.chance(0.5):
            ends = [(y, x) for x, y in ends]
        ImageDraw.Draw(mask).line(ends, fill=255, width=max(2, round(size * 0.028)))
        found.append(mask)
    return found


def muted(draws: Draws, palette: int) -> Rgb:
    """Return a greyish colour near the palette's own; no caption could name it."""
    return _rgb(palette / PALETTES + draws.uniform(-0.12, 0.12), draws.uniform(0.12, 0.32), draws.uniform(0.6, 0.88))


def _gradient(draws: Draws, palette: int, side: int) -> Image.Image:
    ramp = Image.linear_gradient("L").rotate(90 * draws.integer(0, 3)).resize((side, side))
    ends = [Image.new("RGB", (side, side), _light(palette, share)) for share in (0.02, 0.2)]
    return Image.composite(ends[0], ends[1], ramp)


def _stripes(pen: ImageDraw.ImageDraw, draws: Draws, palette: int, side: int) -> None:
    step, slant = side * draws.uniform(0.08, 0.2), side * draws.pick((0.0, 0.5, -0.5))
    for number in range(-10, 24):
        x = number * step
        pen.polygon(((x, 0), (x + step / 2, 0), (x + step / 2 + slant, side), (x + slant, side)), _light(palette, 0.13))


def _dots(pen: ImageDraw.ImageDraw, draws: Draws, palette: int, side: int) -> None:
    step = side * draws.uniform(0.08, 0.16)
    radius = step * draws.uniform(0.15, 0.3)
    for row in range(int(side / step) + 2):
        for column in range(int(side / step) + 2):
            x, y = (column + row % 2 / 2) * step, row * step
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_light(palette, 0.15))


def _clutter(pen: ImageDraw.ImageDraw, draws: Draws, palette: int, side: int) -> None:
    for _ in range(draws.integer(30, 45)):
        x, y, reach = (draws.uniform(-0.05, 1.05) * side, draws.uniform(-0.05, 1.05) * side, draws.uniform(0.03, 0.13))
        fill, angle = muted(draws, palette), draws.uniform(0, math.tau)
        corners = draws.integer(2, 6)
        if corners == 2:
            dx, dy = (2.5 * reach * side * part for part in (math.cos(angle), math.sin(angle)))
            pen.line((x - dx, y - dy, x + dx, y + dy), fill=fill, width=round(side * draws.uniform(0.006, 0.02)))
            continue
        spokes = [angle + math.tau * (spoke + draws.uniform(0, 0.6)) / corners for spoke in range(corners)]
        pen.polygon([(x + reach * side * math.cos(a), y + reach * side * math.sin(a)) for a in spokes], fill=fill)


def _light(palette: int, saturation: float) -> Rgb:
    return _rgb(palette / PALETTES, saturation, 0.99 - saturation * 0.4)


def _rgb(hue: float, saturation: float, value: float) -> Rgb:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
