"""Pictures in lines with a few words under each, as one image for a person to judge."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Rgb = tuple[int, int, int]
BLACK: Rgb = (0, 0, 0)

_CELL = 256
"""Side to which each picture is brought."""
_FONT_SIZE = 13
_LINE = 16
_LETTERS = 38
"""Letters that fit under a picture."""
_MARGIN = 6


@dataclass(frozen=True)
class Cell:
    """One picture and what stands under it."""

    picture: Image.Image
    texts: tuple[tuple[str, Rgb], ...]
    """Each begins a new line and is broken where it is too long."""


def picture_sheet(cells: Sequence[Cell], *, columns: int, text_lines: int, title: str = "") -> Image.Image:
    """Return the cells from left to right and from top to bottom, each with at most `text_lines` lines of text."""
    top = 2 * _LINE if title else _MARGIN
    height = _CELL + text_lines * _LINE + _MARGIN
    size = (columns * (_CELL + _MARGIN) + _MARGIN, top + -(-len(cells) // columns) * height)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE)
    pen.text((_MARGIN, _MARGIN), title, fill=BLACK, font=ImageFont.load_default(_FONT_SIZE + 3))
    for place, cell in enumerate(cells):
        x, y = _MARGIN + place % columns * (_CELL + _MARGIN), top + place // columns * height
        sheet.paste(cell.picture.resize((_CELL, _CELL), Image.Resampling.LANCZOS), (x, y))
        lines = [(line, colour) for text, colour in cell.texts for line in textwrap.wrap(text, _LETTERS)]
        for number, (line, colour) in enumerate(lines[:text_lines]):
            pen.text((x, y + _CELL + number * _LINE), line, fill=colour, font=font)
    return sheet
