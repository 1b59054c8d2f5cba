from __future__ import annotations

import numpy as np
from PIL import Image

from mue_model.picture_sheet import BLACK, Cell, picture_sheet

RED = (200, 0, 0)


def square(colour: str) -> Image.Image:
    return Image.new("RGB", (10, 10), colour)


def colours_in(
    sheet: Image.Image, top: int, bottom: int, left: int = 0, right: int | None = None
) -> set[tuple[int, ...]]:
    pixels = np.asarray(sheet)[top:bottom, left:right].reshape(-1, 3)
    return {tuple(int(value) for value in pixel) for pixel in np.unique(pixels, axis=0)}


def test_pictures_fill_lines_from_left_to_right() -> None:
    cells = [Cell(square(colour), ()) for colour in ("red", "lime", "blue")]
    sheet = picture_sheet(cells, columns=2, text_lines=1)
    middle = sheet.width // 2
    below = sheet.height // 2
    assert (255, 0, 0) in colours_in(sheet, 0, below, 0, middle)
    assert (0, 255, 0) in colours_in(sheet, 0, below, middle)
    assert colours_in(sheet, below, sheet.height, middle) == {(255, 255, 255)}
    assert (0, 0, 255) in colours_in(sheet, below, sheet.height, 0, middle)


def test_long_words_under_a_picture_are_broken_and_cut() -> None:
    text = "a very long caption " * 5
    texts = (("short", RED), (text, BLACK))
    for lines in (1, 5):
        sheet = picture_sheet([Cell(square("white"), texts)], columns=1, text_lines=lines)
        shown = colours_in(sheet, 256, sheet.height)
        assert (RED in shown, BLACK in shown) == (True, lines > 1)


def test_a_title_has_room_of_its_own() -> None:
    plain, titled = (picture_sheet([Cell(square("red"), ())], columns=1, text_lines=1, title=t) for t in ("", "Look"))
    assert titled.height > plain.height
    assert (255, 0, 0) not in colours_in(titled, 0, titled.height - plain.height)
