"""A sheet of drawn pictures with their captions under them, for a person to judge."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from mue_model.corpus.row import draw_row
from mue_model.corpus.settings import CorpusSettings, Split
from mue_model.corpus.shards import appear
from mue_model.picture_sheet import BLACK, Cell, picture_sheet

_COLUMNS = 6
_TEXT_LINES = 4


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
    cells = []
    for number in shown:
        row = draw_row(settings, split, number)
        cells.append(Cell(Image.open(io.BytesIO(row.jpg)), ((f"{row.facts['level']}: {row.caption}", BLACK),)))
    buffer = io.BytesIO()
    picture_sheet(cells, columns=_COLUMNS, text_lines=_TEXT_LINES).save(buffer, "PNG")
    appear(path, buffer.getvalue())
    return len(shown)
