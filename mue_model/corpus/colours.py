"""The eight colours that captions name, and how a picture takes one of them."""

from __future__ import annotations

import numpy as np

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 22, 30),
    "orange": (255, 136, 0),
    "yellow": (252, 220, 20),
    "green": (40, 165, 60),
    "blue": (30, 100, 230),
    "purple": (140, 60, 200),
    "pink": (255, 130, 195),
    "brown": (130, 78, 36),
}
"""RGB of each; far enough apart that a JPEG or a shadow turns none into another."""

_OUTLINE_BELOW = 48
"""Luminance under which a pixel belongs to the black outline of a picture and stays dark."""


def tinted(picture: np.ndarray, colour: str) -> np.ndarray:
    """Return `picture` (uint8 [H, W, 4]) in shades of one colour; outline, transparency and inner contrast stay.

    Shades are relative to the picture's own mean, so that a dark picture and a pale one both show the colour itself.
    """
    luminance = picture[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    filled = (picture[..., 3] > 128) & (luminance > _OUTLINE_BELOW)
    middle = float(luminance[filled].mean()) if filled.any() else 128.0
    shade = np.clip((luminance - middle) / 128, -0.3, 0.45)[..., None]
    base = np.array(COLOURS[colour], np.float32)
    towards = np.where(shade > 0, np.float32(255), np.float32(0))
    painted = base + (towards - base) * np.abs(shade)
    ink = np.clip(luminance / _OUTLINE_BELOW, 0, 1)[..., None]
    out = picture.copy()
    out[..., :3] = painted * ink
    return out
