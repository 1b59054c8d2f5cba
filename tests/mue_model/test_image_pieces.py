"""Files of very many pieces are refused before they are decoded; what is usual is not."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from mue_model.image_pieces import MAX_PIECES, too_many_pieces
from mue_model.processor import ImageError, decode_image


def encode(file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((60, 40), 50).convert("RGB").save(buffer, file_format, **options)
    return buffer.getvalue()


def chunk(kind: bytes) -> bytes:
    return struct.pack(">I", 0) + kind + struct.pack(">I", zlib.crc32(kind))


JPEG, PNG, GIF = encode("JPEG"), encode("PNG"), encode("GIF")
GIF_BODY = 13 + 3 * 2 ** ((GIF[10] & 7) + 1)
SWOLLEN = {
    "JPEG, APP": lambda n: JPEG[:2] + b"\xff\xe5\x00\x02" * n + JPEG[2:],
    "JPEG, COM": lambda n: JPEG[:2] + b"\xff\xfe\x00\x02" * n + JPEG[2:],
    "PNG, private": lambda n: PNG[:33] + chunk(b"prVt") * n + PNG[33:],
    "PNG, IDAT": lambda n: PNG[:33] + chunk(b"IDAT") * n + PNG[33:],
    "GIF, comments": lambda n: GIF[:GIF_BODY] + b"!\xfe\x01a\x00" * n + GIF[GIF_BODY:],
    "GIF, a comment's blocks": lambda n: GIF[:GIF_BODY] + b"!\xfe" + b"\x01a" * n + b"\x00" + GIF[GIF_BODY:],
    "GIF, junk": lambda n: GIF[:GIF_BODY] + b"\x01" * n + GIF[GIF_BODY:],
}


@pytest.mark.parametrize("kind", SWOLLEN)
def test_as_many_pieces_as_no_image_has_are_refused(kind: str) -> None:
    assert decode_image(SWOLLEN[kind](1_000)).size == (60, 40)
    with pytest.raises(ImageError, match=rf"corrupt_image: {kind[:3]}\w* in more than {MAX_PIECES} pieces"):
        decode_image(SWOLLEN[kind](MAX_PIECES + 1))


def test_what_stands_behind_the_image_is_not_counted() -> None:
    for appended in (bytes(range(256)) * 20_000, bytes(5_000_000), b"\xff" * 5_000_000):
        for image in (JPEG, PNG, GIF, encode("WEBP"), encode("TIFF")):
            assert not too_many_pieces(image + appended)
            assert decode_image(image + appended).size == (60, 40)


def test_broken_data_is_left_to_the_decoder() -> None:
    for image in (JPEG, PNG, GIF):
        for length in range(0, 200, 3):
            assert not too_many_pieces(image[:length])
    assert not too_many_pieces(PNG[:8] + b"\xff" * 1_000)
    assert not too_many_pieces(b"")
