"""The grid of image tokens. No torch import."""

from __future__ import annotations

STRIDE = 16
"""Pixels per image token, in both directions."""


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Return the image-token grid (rows, columns) of an image of `height` x `width` pixels."""
    return -(-height // STRIDE), -(-width // STRIDE)
