"""Every kind of image comes out upright, in the right colours and size; every bad one with the right code."""

from __future__ import annotations

import io
import json
import pickle
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image, features

from mue_model.images import MAX_SIDE, ImageErrorCode, to_rgb
from mue_model.processor import CAPTION_PROMPT, ImageError, Processor, ProcessorError, decode_image, resize_pixels
from mue_model.tokenizer import build_word_tokenizer
from mue_model.words import CAPTION_WORDS
from pipeline.records import ErrorCode

PROCESSOR = Processor(tokenizer=build_word_tokenizer(CAPTION_WORDS), image_size=32)
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def decode(data: bytes, max_pixels: int = 1_000_000) -> Image.Image:
    image = decode_image(data, max_pixels=max_pixels)
    assert image.mode == "RGB"
    return image


def code_of(data: bytes, max_pixels: int = 1_000_000) -> str:
    with pytest.raises(ImageError) as raised:
        decode_image(data, max_pixels=max_pixels)
    assert len(raised.value.message) <= 300
    return raised.value.code


def row_of(image: Image.Image) -> list[tuple[int, ...]]:
    return [tuple(map(int, pixel)) for pixel in np.asarray(image)[0]]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour_type: int, rows: bytes, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body + chunk(b"IEND", b"")


def pixels_of(mode: str, values: list[Any]) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    image.putdata(values)
    return image


def palette(transparency: Any = None) -> bytes:
    image = pixels_of("P", [0, 1, 2])
    image.putpalette([*RED, *GREEN, *BLUE])
    return encode(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


def grey16(file_format: str, **options: Any) -> bytes:
    return encode(Image.fromarray(np.array([[0, 257, 32_768, 65_535]], np.uint16)), file_format, **options)


def grey(values: list[float], dtype: type = np.float32) -> bytes:
    return encode(Image.fromarray(np.array([values], dtype)), "TIFF")


def levels(*values: int) -> list[tuple[int, ...]]:
    return [(value, value, value) for value in values]


COLOURS = {
    "rgb": (encode(pixels_of("RGB", [RED, (1, 2, 3)]), "PNG"), [RED, (1, 2, 3)]),
    "1 bit": (encode(pixels_of("1", [0, 255]), "PNG"), [BLACK, WHITE]),
    "1 bit, P4": (b"P4\n2 1\n\x80", [BLACK, WHITE]),
    "L": (encode(pixels_of("L", [0, 77]), "PNG"), levels(0, 77)),
    "L with a transparent level": (encode(pixels_of("L", [0, 77]), "PNG", transparency=77), [BLACK, WHITE]),
    "LA": (encode(pixels_of("LA", [(10, 255), (10, 0), (0, 51)]), "PNG"), levels(10, 255, 204)),
    "RGBA": (encode(pixels_of("RGBA", [(*RED, 255), (*RED, 0), (*RED, 51)]), "PNG"), [RED, WHITE, (255, 204, 204)]),
    "RGB with a transparent colour": (encode(pixels_of("RGB", [RED, BLUE]), "PNG", transparency=BLUE), [RED, WHITE]),
    "RGBA, WEBP": (
        encode(pixels_of("RGBA", [(*RED, 255), (*RED, 0)]), "WEBP", lossless=True, exact=True),
        [RED, WHITE],
    ),
    "palette": (palette(), [RED, GREEN, BLUE]),
    "palette, one entry transparent": (palette(1), [RED, WHITE, BLUE]),
    "palette, an alpha for each entry": (palette(b"\xff\x00\x33"), [RED, WHITE, (204, 204, 255)]),
    "palette, GIF": (encode(pixels_of("P", [0, 9]), "GIF"), None),
    "CMYK": (encode(pixels_of("CMYK", [(0, 255, 255, 0), (0, 0, 0, 255), (0, 0, 0, 0)]), "TIFF"), [RED, BLACK, WHITE]),
    "CMYK, JPEG, inverted as Adobe does": (
        encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100),
        [(255, 0, 0)] * 8,
    ),
    "YCbCr": (encode(pixels_of("YCbCr", [(255, 128, 128), (76, 85, 255)]), "TIFF"), [WHITE, (254, 0, 0)]),
    "16-bit grey, PNG": (grey16("PNG"), levels(0, 1, 128, 255)),
    "16-bit grey, TIFF": (grey16("TIFF"), levels(0, 1, 128, 255)),
    "16-bit grey, big-endian": (grey16("TIFF", big_endian=True), levels(0, 1, 128, 255)),
    "16-bit grey, PGM": (b"P5\n2 1\n65535\n\x80\x00\xff\xff", levels(128, 255)),
    "10-bit grey, PGM": (b"P5\n2 1\n1023\n\x02\x00\x03\xff", levels(128, 255)),
    "16-bit RGB": (png(1, 1, 16, 2, b"\0\xff\xff\x80\x00\x00\xff"), [(255, 128, 0)]),
    "32-bit grey within 16 bits": (grey([0, 65_535, 32_768], np.int32), levels(0, 255, 128)),
    "32-bit grey beyond": (grey([-1_000_000, 0, 1_000_000], np.int32), levels(0, 128, 255)),
    "float within 0..1": (grey([0, 0.2, 1]), levels(0, 51, 255)),
    "float within 0..255": (grey([0, 51, 200]), levels(0, 51, 200)),
    "float beyond": (grey([-10, 0, 10, np.nan, np.inf, -np.inf]), levels(0, 128, 255, 0, 255, 0)),
    "float without a number": (grey([np.nan, np.inf]), levels(0, 255)),
    "float, constant": (grey([1e30, 1e30]), levels(0, 0)),
}
COLOURS["palette, GIF"] = (COLOURS["palette, GIF"][0], row_of(pixels_of("P", [0, 9]).convert("RGB")))


@pytest.mark.parametrize("kind", COLOURS)
def test_each_colour_mode_has_its_known_pixels(kind: str) -> None:
    data, expected = COLOURS[kind]
    found = row_of(decode(data))
    if "YCbCr" in kind or "JPEG" in kind:  # rounded on the way
        np.testing.assert_allclose(found, expected, atol=2)
    else:
        assert found == expected


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_an_animation_or_album_gives_its_first_image(file_format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    data = encode(frames[0], file_format, save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(np.asarray(decode(data)), np.full((16, 16, 3), RED), atol=4)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_upright_whatever_its_exif_says(file_format: str, orientation: int) -> None:
    upright = Image.new("RGB", (48, 32), WHITE)
    upright.paste(RED, (0, 0, 16, 16))
    upright.paste(BLUE, (32, 0, 48, 16))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the inverse of each orientation, as PIL.Image.Transpose
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encode(stored, file_format, exif=exif, quality=95))
    assert image.size == (48, 32)
    found = [image.getpixel(spot) for spot in ((8, 8), (40, 8), (8, 24))]
    np.testing.assert_allclose(np.array(found), [RED, BLUE, WHITE], atol=12)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03" * 40,
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\x08",  # orientation "abc", then itself again
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0",  # orientation 99
    ],
)
def test_broken_exif_fails_no_good_image(exif: bytes) -> None:
    image = Image.new("RGB", (16, 8), RED)
    for file_format in ("JPEG", "PNG", "WEBP"):
        assert decode(encode(image, file_format, exif=exif)).size == (16, 8)


def bombs(width: int = 60_000, height: int = 60_000) -> dict[str, bytes]:
    gif = bytearray(encode(Image.new("P", (4, 4)), "GIF"))
    bmp = bytearray(encode(Image.new("RGB", (4, 4)), "BMP"))
    jpeg = bytearray(encode(Image.new("RGB", (4, 4)), "JPEG"))
    tiff = bytearray(encode(Image.new("RGB", (4, 4)), "TIFF"))
    struct.pack_into("<HH", gif, 6, width, height)
    struct.pack_into("<ii", bmp, 18, width, height)
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, height, width)
    for tag, side in ((256, width), (257, height)):
        at = next(p for p in range(len(tiff)) if struct.pack("<HHI", tag, 4, 1) in tiff[p : p + 8])
        struct.pack_into("<I", tiff, at + 8, side)
    vp8x = b"VP8X\x0a\0\0\0\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return {
        "PNG": png(width, height, 8, 2, b"\0"),
        "GIF": bytes(gif),
        "BMP": bytes(bmp),
        "JPEG": bytes(jpeg),
        "TIFF": bytes(tiff),
        "PPM": b"P6 %d %d 255\n" % (width, height),
        "WEBP": b"RIFF" + struct.pack("<I", 22) + b"WEBP" + vp8x,
    }


@pytest.mark.parametrize("file_format", bombs())
def test_the_header_alone_is_enough_to_refuse_too_many_pixels(file_format: str) -> None:
    assert code_of(bombs()[file_format]) == "too_many_pixels"
    assert code_of(bombs(2_000, 1_000)[file_format], max_pixels=1_999_999) == "too_many_pixels"
    if file_format not in ("GIF", "JPEG"):  # whose decoders fill up what is missing before a proper end
        # Allowed by the limit, the same few bytes turn out to be broken: so nothing was decoded above.
        assert code_of(bombs(2_000, 1_000)[file_format], max_pixels=2_000_000) == "corrupt_image"


def test_a_gif_whose_frame_is_larger_than_its_screen_counts_as_the_frame() -> None:
    data = bytearray(encode(Image.new("P", (40, 40)), "GIF"))
    struct.pack_into("<HH", data, 6, 4, 4)
    assert decode(bytes(data)).size == (40, 40)
    assert code_of(bytes(data), max_pixels=1_599) == "too_many_pixels"


def tiled_tiff(tile: tuple[int, int], data: bytes) -> bytes:
    """A grey 16 x 16 TIFF in one deflated tile."""
    sides = {256: 16, 257: 16, 322: tile[0], 323: tile[1]}
    tags = sides | {258: 8, 259: 8, 262: 1, 277: 1, 324: 8 + 2 + 10 * 12 + 4, 325: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + data


def test_a_tiff_whose_tiles_are_larger_than_the_image_counts_as_the_tile() -> None:
    """Two megabytes would take two gigabytes to decode, whatever the limit of pixels."""
    assert decode(tiled_tiff((32, 32), zlib.compress(bytes(1_024)))).size == (16, 16)
    assert code_of(tiled_tiff((4_096, 4_096), zlib.compress(bytes(1 << 24)))) == "too_many_pixels"
    assert code_of(tiled_tiff((2**31 - 16, 2**31 - 16), b"")) == "too_many_pixels"
    width_as_text = tiled_tiff((2**31, 2**31), b"").replace(
        struct.pack("<HHI", 322, 4, 1), struct.pack("<HHI", 322, 2, 3)
    )
    assert code_of(width_as_text) == "corrupt_image"


def test_zero_and_overlong_sides_are_bad_dimensions() -> None:
    jpeg = bytearray(encode(Image.new("RGB", (4, 4)), "JPEG"))
    struct.pack_into(">H", jpeg, jpeg.index(b"\xff\xc0") + 5, 0)
    for data in (png(0, 4, 8, 2, b""), png(4, 0, 8, 2, b""), bytes(jpeg), b"P6 0 4 255\n", b"P5 4 0 255\n"):
        assert code_of(data) == "bad_dimensions"
    assert code_of(png(MAX_SIDE + 1, 1, 8, 0, b"\0" * (MAX_SIDE + 2))) == "bad_dimensions"
    assert decode(png(MAX_SIDE, 1, 8, 0, b"\0" * (MAX_SIDE + 1))).size == (MAX_SIDE, 1)


PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
def test_a_cut_image_is_corrupt_wherever_it_is_cut(file_format: str) -> None:
    data = encode(PHOTO, file_format)
    assert decode(data).size == PHOTO.size
    assert {code_of(data[:length]) for length in (32, len(data) // 4, len(data) // 2)} == {"corrupt_image"}


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.4",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9",
        b"<svg xmlns=''/>",
        b"PK\3\4",
        b"<html>",
        b"\0",
        b"P7 x",
        b"P3 2 1 255\n255 0 0  0 0 255",
    ],
)
def test_what_is_no_image_of_the_list_is_unknown(data: bytes) -> None:
    assert code_of(data) == "unknown_format"
    assert code_of(b"") == "empty_image"


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_metadata_that_expands_without_end_is_refused(kind: bytes) -> None:
    start = b"key\0\1\0\0\0" if kind == b"iTXt" else b"key\0\0"
    bomb = chunk(kind, start + zlib.compress(bytes(50_000_000)))
    assert code_of(png(1, 1, 8, 0, b"\0\0", bomb)) == "corrupt_image"


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded() -> None:
    """Each scan of a few bytes would take a pass over all of the pixels."""
    scans = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x01" * 200
    image = encode(Image.new("RGB", (8, 8)), "JPEG")
    with pytest.raises(ImageError, match="corrupt_image: JPEG with 201 scans"):
        decode_image(image[:-2] + scans + image[-2:])
    decode_image(encode(Image.new("RGB", (64, 64)), "JPEG", progressive=True))
    decode_image(image + b"a video behind the picture \xff\xda" * 200)


def test_codes_are_those_of_the_pipeline_and_errors_travel() -> None:
    assert set(get_args(ImageErrorCode)) <= {code.value for code in ErrorCode}
    error = ImageError("corrupt_image", "broken \ud800 " + "x" * 400)
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.message) == (error.code, error.message)
    assert again.message.startswith("broken \\ud800 x")
    assert len(again.message.encode()) < 310


def test_no_warning_escapes_and_none_becomes_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    apng = encode(PHOTO, "PNG")
    odd_apng = apng[:33] + chunk(b"acTL", bytes(8)) + apng[33:]
    huge_entry = encode(
        PHOTO, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x0f\0\x02\0\xff\xff\xff\0\0\0\x08\0\0\0\0"
    )
    wide = png(9_500, 9_500, 1, 0, bytes(9_500 * 1_189))  # above Pillow's own limit for a warning
    for action in ("error", "always"):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter(action)  # type: ignore[arg-type]
            for data in (odd_apng, huge_entry, wide):
                decode(data, max_pixels=100_000_000)
        assert seen == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [(64, 48), (3, 500), (1, 10_000), (10_000, 1), (1, 1), (33, 32)])
def test_resizing_is_pillows_bicubic_of_the_whole_image(size: tuple[int, int]) -> None:
    image = PHOTO.resize(size, Image.Resampling.NEAREST)
    found = resize_pixels(image, 32)
    assert (found.shape, found.dtype, found.flags.writeable) == ((32, 32, 3), np.uint8, True)
    for channel, band in enumerate(image.split()):
        np.testing.assert_array_equal(found[..., channel], np.asarray(band.resize((32, 32), Image.Resampling.BICUBIC)))


def test_resizing_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ImageError, match="bad_dimensions"):
        resize_pixels(Image.new("RGB", (MAX_SIDE + 1, 1)), 32)
    with pytest.raises(ImageError, match="bad_dimensions"):
        resize_pixels(Image.new("RGB", (0, 5)), 32)
    with pytest.raises(ValueError, match="takes an RGB image, not L"):
        resize_pixels(Image.new("L", (5, 5)), 32)


def test_the_processor_takes_bytes_and_open_images_and_threads() -> None:
    data = encode(PHOTO, "PNG")
    expected = resize_pixels(PHOTO, 32)
    np.testing.assert_array_equal(PROCESSOR.pixels(data), expected)
    np.testing.assert_array_equal(PROCESSOR.pixels(Image.open(io.BytesIO(data))), expected)
    np.testing.assert_array_equal(PROCESSOR.pixels(PHOTO.convert("RGBA")), expected)
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(PROCESSOR.pixels(data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(np.array_equal(pixels, expected) for pixels in found)
    assert to_rgb(PHOTO) is PHOTO


def test_prompts_are_ids_and_unknown_tasks_named() -> None:
    ids = PROCESSOR.prompt_ids("caption")
    assert (len(ids), ids[0], ids[-1]) == (8, 0, 2)
    assert PROCESSOR.tokenizer.decode(ids) == CAPTION_PROMPT
    with pytest.raises(ValueError, match="task 'vqa' has no constant prompt; tasks that have one: caption"):
        PROCESSOR.prompt_ids("vqa")


def test_a_saved_processor_is_read_back_equal(tmp_path: Path) -> None:
    PROCESSOR.save(tmp_path / "model")
    assert Processor.from_folder(tmp_path / "model") == PROCESSOR == pickle.loads(pickle.dumps(PROCESSOR))
    written = json.loads((tmp_path / "model" / "preprocessor_config.json").read_text("utf-8"))
    assert (written["resample"], written["image_mean"], written["size"]) == (3, [0.5] * 3, {"height": 32, "width": 32})
    with pytest.raises(ValueError, match="image_size = 0"):
        Processor(tokenizer=PROCESSOR.tokenizer, image_size=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "preprocessor_config.json is missing"),
        ("{", "cannot be read as JSON"),
        ("[]", "holds no JSON object"),
        ('{"size": 480, "resample": 2}', "resample = 2 is not supported, only 3"),
        ('{"size": 480, "image_mean": [0.4, 0.5, 0.5]}', "image_mean"),
        ('{"size": {"height": 480, "width": 384}}', "size = "),
        ("{}", "size = None; expected one positive number"),
    ],
)
def test_a_config_that_asks_for_something_else_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    PROCESSOR.tokenizer.save(tmp_path)
    if content is not None:
        (tmp_path / "preprocessor_config.json").write_text(content, "utf-8")
    with pytest.raises(ProcessorError, match=message):
        Processor.from_folder(tmp_path)


def test_a_config_with_one_number_as_size_is_read(tmp_path: Path) -> None:
    PROCESSOR.tokenizer.save(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"size": 384, "do_resize": true}', "utf-8")
    assert Processor.from_folder(tmp_path).image_size == 384


def test_pillow_was_built_with_the_formats_that_are_promised() -> None:
    assert all(features.check(name) for name in ("jpg", "zlib", "webp", "libtiff"))
