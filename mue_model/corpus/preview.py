"""A sheet of drawn pictures with their captions under them, for a person to judge."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mue_model.corpus.row import draw_row
from mue_model.corpus.settings import CorpusSettings, Split
from mue_model.corpus.shards import appear

_COLUMNS = 6
_CELL = 256
"""Side to which each picture is enlarged."""
_TEXT_LINES = 4
_FONT_SIZE = 13
_LINE = 16
_MARGIN = 6


def write_preview(path: Path, settings: CorpusSettings, *, split: Split = "train", lines: int = 2) -> int:
    """Write a PNG of the first rows of every level, `lines` lines of six for each; return the number of pictures.

    Raises:
        CorpusError: a package is missing, or the file cannot be written.
    """
    numbers = {level: [] for level in dict.fromkeys(settings.levels)}  # type: dict[int, list[int]]
    number = 0
    while any(len(found) < lines * _COLUMNS for found in numbers.values()):
        if len(found := numbers[settings.level_of(number)]) < lines * _COLUMNS:
            found.append(number)
        number += 1
    shown = [number for found in numbers.values() for number in found]
    height = _CELL + _TEXT_LINES * _LINE + _MARGIN
    sheet = Image.new("RGB", (_COLUMNS * (_CELL + _MARGIN) + _MARGIN, -(-len(shown) // _COLUMNS) * height), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for place, number in enumerate(shown):
        row = draw_row(settings, split, number)
        x, y = _MARGIN + place % _COLUMNS * (_CELL + _MARGIN), _MARGIN + place // _COLUMNS * height
        with Image.open(io.BytesIO(row.jpg)) as picture:
            sheet.paste(picture.resize((_CELL, _CELL), Image.Resampling.LANCZOS), (x, y))
        text = f"{row.facts['level']}: {row.caption}"
        for line, words in enumerate(textwrap.wrap(text, 38)[:_TEXT_LINES]):
            pen.text((x, y + _CELL + line * _LINE), words, fill="black", font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    appear(path, buffer.getvalue())
    return len(shown)
