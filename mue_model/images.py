"""Bytes of unknown origin to an upright RGB image, or an `ImageError` that says which way they are bad.

What is done to the colours: alpha and transparent palette entries are composited on white; CMYK is converted by
Pillow's plain formula and no ICC profile is applied; of an animation the first frame is taken. A JPEG is decoded
at full size: Pillow's draft mode is quicker for large ones, but shrinks with another filter than bicubic.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from typing import Any, Literal

import numpy as np
from PIL import ExifTags, Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mue_model.image_pieces import MAX_PIECES, too_many_pieces

ImageErrorCode = Literal["empty_image", "unknown_format", "corrupt_image", "too_many_pixels", "bad_dimensions"]

MAX_SIDE = 65_535
"""Longest side in pixels that is accepted, as in JPEG. Resizing S x S holds S * side * 4 bytes in between."""

DEFAULT_MAX_PIXELS = 89_478_485
"""Most pixels a header may announce, unless the caller says otherwise; Pillow warns from here on. The worst format
takes 16 bytes a pixel while it is decoded: 1.4 GB."""

MAX_JPEG_SCANS = 100
"""Most scans of a JPEG. Each may take a pass over all pixels, and takes no more than 14 bytes to ask for."""
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
"""A scan's marker, length and number of components, which must agree; two bytes alone occur in any appended video."""

# The whole list: no format that starts a program (EPS), none that this project has no tests for. The plugin is
# taken by the first bytes and not by `Image.open`, whose limit and warnings are settings of the whole process and
# which says "cannot identify" of a cut JPEG and of a text alike.
_FORMATS: tuple[tuple[re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL), WebPImageFile),
    (re.compile(rb"GIF8[79]a"), GifImageFile),
    (re.compile(rb"BM"), BmpImageFile),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImageFile),
    (re.compile(rb"P[4-6]\s|Pf\s"), PpmImageFile),  # P1 to P3 are text, which Pillow reads in Python, by the letter
)
_NAMES = ", ".join(plugin.format or "" for _, plugin in _FORMATS)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow also logs what it finds odd in a file; without any handler Python would print it to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_BYTE_OF_UINT16 = ((np.arange(65_536, dtype=np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)


class ImageError(ValueError):
    """An image cannot be used. `code` is an `ErrorCode` value of the pipeline, `message` at most 300 characters."""

    def __init__(self, code: ImageErrorCode, message: str) -> None:
        # Pillow quotes what it read, so a message may hold what no UTF-8 column can.
        text = message.encode("utf-8", "backslashreplace").decode()
        self.code: ImageErrorCode = code
        self.message = text if len(text) <= 300 else text[:299] + "…"
        super().__init__(code, self.message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def decode_image(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Return the image in `data` as upright RGB; raise `ImageError` and nothing else if there is none.

    Size limits are applied to the header, before any pixel is decoded. TIFF, WEBP and GIF also keep Pillow's own
    limit (`PIL.Image.MAX_IMAGE_PIXELS`), whatever `max_pixels` says.
    """
    if not data:
        raise ImageError("empty_image", "the image has zero bytes")
    plugin = next((plugin for magic, plugin in _FORMATS if magic.match(data)), None)
    if plugin is None:
        raise ImageError("unknown_format", f"data that begins with {data[:12]!r} is none of {_NAMES}")
    _ignore_pillow_warnings()
    try:
        _check_webp_header(data, max_pixels)
        if plugin is JpegImageFile and (scans := len(_SCAN.findall(data))) > MAX_JPEG_SCANS:
            raise ImageError("corrupt_image", f"JPEG with {scans} scans; more than {MAX_JPEG_SCANS} are refused")
        if too_many_pieces(data):
            raise ImageError("corrupt_image", f"{plugin.format} in more than {MAX_PIECES} pieces")
        with _open(plugin, data) as image:
            check_size(image.size, max_pixels)
            _check_tiff_tiles(image, max_pixels)
            image.load()
            return to_rgb(_upright(image))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too_many_pixels", f"{plugin.format}: {error}") from error
    except MemoryError as error:
        message = f"{plugin.format}: not enough memory to decode it; lower max_pixels, or give the task more memory"
        raise ImageError("too_many_pixels", message) from error
    except Exception as error:  # whatever Pillow raises is a fact about these bytes
        message = f"{plugin.format} data is broken or cut: {type(error).__name__}: {error}"
        raise ImageError("corrupt_image", message) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in mode RGB, transparent parts on white, greyscale of more than 8 bits scaled to 8."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _greyscale_8bit(image)
    if image.has_transparency_data:
        with_alpha = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return image if image.mode == "RGB" else image.convert("RGB")


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raise `ImageError` unless an image of `size` may be decoded and can be resized."""
    width, height = size
    if width * height > max_pixels:
        raise ImageError("too_many_pixels", f"{width} x {height} pixels are more than the limit of {max_pixels}")
    if min(size) <= 0:
        raise ImageError("bad_dimensions", f"{width} x {height} pixels: a side is zero")
    if max(size) > MAX_SIDE:
        raise ImageError("bad_dimensions", f"{width} x {height} pixels: a side is longer than {MAX_SIDE}")


def _open(plugin: type[ImageFile.ImageFile], data: bytes) -> ImageFile.ImageFile:
    """Read the header only."""
    image = plugin.__new__(plugin)
    try:
        # Not `plugin(...)`: a plugin refuses a zero side with the error it has for anything else, and only the
        # object itself still tells what it read.
        plugin.__init__(image, io.BytesIO(data))
    except SyntaxError:
        if image.mode and min(image.size) <= 0:
            raise ImageError("bad_dimensions", f"{image.width} x {image.height} pixels: a side is zero") from None
        raise
    return image


def _check_webp_header(data: bytes, max_pixels: int) -> None:
    """Apply the limit to an extended WEBP, whose decoder allocates the canvas before Pillow tells its size."""
    if data[:4] == b"RIFF" and data[12:16] == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        check_size((width, height), max_pixels)


def _check_tiff_tiles(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Apply the limit to the tiles of a TIFF: each is decoded whole, however little of it the image shows."""
    if not isinstance(image, TiffImageFile):
        return
    width, height = (image.tag_v2.get(tag, 1) for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength))
    if not (isinstance(width, int) and isinstance(height, int)):
        raise ImageError("corrupt_image", "TIFF whose tiles have sides that are no whole numbers")
    if width * height > max_pixels:
        message = f"tiles of {width} x {height} pixels are more than the limit of {max_pixels}"
        raise ImageError("too_many_pixels", message)


def _upright(image: Image.Image) -> Image.Image:
    """Turn `image` as its EXIF (or XMP) orientation asks; broken EXIF counts as none.

    Not `ImageOps.exif_transpose`, which also rewrites the EXIF block and fails where another tag is broken.
    """
    try:
        method = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the pixels are good; any fault of the metadata leaves them as stored
        return image
    return image if method is None else image.transpose(method)


def _greyscale_8bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and float greyscale to 8 bits, so that white stays white and nothing is clipped.

    16-bit values: 65535 is white. 32-bit integers within 0..65535: the same. Floats within 0..1: 1 is white; within
    0..255: 255 is. Other values have no agreed white: the image's own range is stretched; NaN is black.
    """
    values: np.ndarray[Any, Any] = np.asarray(image)
    if values.dtype.itemsize == 2:
        return Image.fromarray(_BYTE_OF_UINT16[values])
    low, high = _finite_range(values)
    whites = (65_535.0,) if image.mode == "I" else (1.0, 255.0)
    fitting = [white for white in whites if low >= 0 and high <= white]
    if fitting:
        low, high = 0.0, fitting[0]
    scale = 255 / (high - low) if high > low else 0.0
    result = np.empty(values.shape, np.uint8)
    for source, target in zip(values, result, strict=True):  # by rows: float64 copies of a row, not of the image
        with np.errstate(invalid="ignore"):  # a signalling NaN
            wide = source.astype(np.float64)
        known = np.nan_to_num(wide, nan=low, posinf=high, neginf=low)
        target[:] = np.clip(np.rint((known - low) * scale), 0, 255)
    return Image.fromarray(result)


def _finite_range(values: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest finite value; infinity and minus infinity where there is none."""
    if values.dtype.kind != "f":
        return float(values.min()), float(values.max())
    finite = np.isfinite(values)
    return (
        float(np.min(values, where=finite, initial=np.inf)),
        float(np.max(values, where=finite, initial=-np.inf)),
    )


def _ignore_pillow_warnings() -> None:
    """Have Python ignore warnings raised inside Pillow from now on.

    A bad image is a row with a code, told once; and a filter that turns warnings into errors must not turn a good
    row into a bad one. `warnings.catch_warnings` swaps a list of the whole process and is not thread-safe; this adds
    one entry at its front, and again whenever it is no longer there.
    """
    if warnings.filters[:1] != [("ignore", None, Warning, re.compile(r"PIL\."), 0)]:
        warnings.filterwarnings("ignore", module=r"PIL\.")
