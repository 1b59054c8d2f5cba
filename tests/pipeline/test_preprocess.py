"""Every row that goes in comes out, whatever its image holds: ok with its pixels, or with a stage, a code and zeros."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import struct
import tarfile
import zlib
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from mue_model.config import GenerationConfig
from mue_model.model_names import model_facts
from mue_model.processor import CAPTION_PROMPT, Processor, decode_image, resize_pixels
from mue_model.tokenizer import build_word_tokenizer
from mue_model.words import CAPTION_WORDS
from pipeline.preprocess import DecodeRows
from pipeline.records import RAW_SCHEMA, ErrorCode, decoded_schema
from pipeline.spec import FieldsConfig, InputsConfig, JobSpec, OutputConfig

SIZE = 32
PROCESSOR = Processor(tokenizer=build_word_tokenizer(CAPTION_WORDS), image_size=SIZE, max_pixels=1_000_000)
DECODE = DecodeRows.from_processor(PROCESSOR)
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
SMOOTH = Image.radial_gradient("L").resize((40, 56)).convert("RGB")


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def raw_row(index: int, image: bytes | None = None, **values: Any) -> dict[str, Any]:
    row = dict.fromkeys(RAW_SCHEMA.names)
    row |= {"uid": f"000003-a/{index}/0", "shard_id": "000003-a", "shard_uri": "a.tar", "key": f"k{index}"}
    row |= {"row_in_shard": index, "query": 0, "image": image, "meta_json": "{}", "read_ms": 0.5}
    return row | values


def control_row(total: int) -> dict[str, Any]:
    row = dict.fromkeys(RAW_SCHEMA.names)
    return row | {"shard_id": "000003-a", "shard_uri": "a.tar", "shard_total": total, "shard_state": "done"}


def decode(rows: list[dict[str, Any]], settings: DecodeRows = DECODE) -> pa.Table:
    table = settings(pa.Table.from_pylist(rows, RAW_SCHEMA))
    assert table.schema.equals(decoded_schema(settings.image_size), check_metadata=True)
    table.validate(full=True)
    assert table.num_rows == len(rows)
    return table


def pixels_of(row: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(row["pixels"], np.uint8).reshape(SIZE, SIZE, 3)


def test_a_good_row_carries_pixels_prompt_digest_and_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(SMOOTH, "JPEG", exif=exif)
    (row,) = decode([raw_row(7, data)]).to_pylist()
    assert row["status"] == "ok"
    assert (row["error_stage"], row["error_code"], row["error_message"]) == (None, None, None)
    assert (row["uid"], row["key"], row["row_in_shard"], row["meta_json"]) == ("000003-a/7/0", "k7", 7, "{}")
    assert (row["width"], row["height"]) == (56, 40)
    assert row["image_sha256"] == hashlib.sha256(data).hexdigest()
    assert row["task"] == "caption"
    [query] = row["queries"]
    assert (query["query"], query["prompt"], query["status"]) == (0, CAPTION_PROMPT, "ok")
    assert tuple(query["prompt_ids"]) == PROCESSOR.prompt_ids("caption")
    assert (query["candidates"], query["error_code"], query["error_message"]) == ([], None, None)
    assert row["read_ms"] == 0.5
    assert row["decode_ms"] > 0
    np.testing.assert_array_equal(pixels_of(row), PROCESSOR.pixels(data))


def test_rows_keep_their_order_and_pixels_across_chunks_and_slices() -> None:
    images = [encode(Image.new("RGB", (8, 8), (i, 2 * i, 3 * i)), "PNG") for i in range(6)]
    table = pa.Table.from_pylist([raw_row(i, image) for i, image in enumerate(images)], RAW_SCHEMA)
    chunked = DECODE(pa.concat_tables([table.slice(1, 2), table.slice(3)]))
    assert chunked.column("uid").to_pylist() == [f"000003-a/{i}/0" for i in range(1, 6)]
    assert [pixels_of(row)[0, 0].tolist() for row in chunked.to_pylist()] == [[i, 2 * i, 3 * i] for i in range(1, 6)]
    assert DECODE(table.slice(0, 0)).schema.equals(decoded_schema(SIZE))


def test_a_bad_image_is_a_failed_row_with_zero_pixels_beside_good_ones() -> None:
    wide = encode(Image.new("L", (70_000, 1)), "PNG")
    images = [encode(PHOTO, "PNG"), b"", b"%PDF-1.7", encode(PHOTO, "PNG")[:400], wide, encode(PHOTO, "PNG")]
    huge = encode(Image.new("1", (2_000, 2_000)), "PNG")
    rows = decode([*[raw_row(i, image) for i, image in enumerate(images)], raw_row(6, huge), raw_row(7)]).to_pylist()
    assert [row["error_code"] for row in rows] == [
        *(None, "empty_image", "unknown_format", "corrupt_image", "bad_dimensions", None),
        *("too_many_pixels", "missing_image"),
    ]
    for row in rows:
        failed = row["error_code"] is not None
        assert (row["status"], row["error_stage"]) == (("failed", "decode") if failed else ("ok", None))
        assert bool(row["error_message"]) == failed
        assert pixels_of(row).any() != failed
        assert row["task"] == "caption"
    assert rows[7]["image_sha256"] is None
    assert rows[6]["image_sha256"] == hashlib.sha256(huge).hexdigest()


def test_the_readers_failures_and_control_rows_pass_unchanged() -> None:
    failure = {"status": "failed", "error_stage": "read", "error_code": "missing_image", "error_message": "no jpg"}
    given = [raw_row(0, **failure), raw_row(1, encode(PHOTO, "PNG")), control_row(2)]
    failed, good, control = decode(given).to_pylist()
    assert {name: failed[name] for name in failure} == failure
    assert (failed["queries"][0]["prompt"], failed["image_sha256"], failed["width"]) == (CAPTION_PROMPT, None, None)
    assert (good["status"], good["shard_total"]) == ("ok", None)
    assert (control["shard_total"], control["shard_state"]) == (2, "done")
    assert all(control[name] is None for name in ("uid", "status", "task", "queries", "image_sha256", "decode_ms"))
    assert not pixels_of(failed).any()
    assert not pixels_of(control).any()


def test_an_image_s_queries_travel_with_it_and_its_pixels_once() -> None:
    facts = model_facts("seeded")
    inputs = InputsConfig(urls=("a.tar",), fields=FieldsConfig(question="json:q[*]"), max_pixels=5_000)
    spec = JobSpec(inputs=inputs, output=OutputConfig(url="o"), task="vqa", model="seeded")
    settings = DecodeRows.of_job(spec, facts, GenerationConfig())
    assert len(pickle.dumps(settings)) < 1_500
    meta = [json.dumps({"json": {"q": ["what is it?"] * count}}) for count in (60, 2, 0)]
    table = decode([raw_row(i, encode(PHOTO, "PNG"), meta_json=text) for i, text in enumerate(meta)], settings)
    many, two, none = table.to_pylist()
    assert [len(row["queries"]) for row in (many, two, none)] == [60, 2, 1]
    assert [query["query"] for query in many["queries"]] == list(range(60))
    assert {query["prompt"] for query in [*many["queries"], *two["queries"]]} == {" what is it?"}
    assert (none["status"], none["queries"][0]["status"]) == ("ok", "filtered")
    assert table.nbytes < 1.3 * 3 * facts.processor.image_size**2 * 3, "pixels are not copied for each query"
    large, broken = decode(
        [raw_row(0, encode(PHOTO.resize((90, 90)), "PNG"), meta_json=meta[1]), raw_row(1, b"x", meta_json=meta[1])],
        settings,
    ).to_pylist()
    assert [(row["error_code"], len(row["queries"])) for row in (large, broken)] == [
        ("too_many_pixels", 2),
        ("unknown_format", 2),
    ]


def test_a_side_that_is_too_short_is_filtered_not_failed() -> None:
    settings = DecodeRows.from_processor(PROCESSOR, min_side=40)
    rows = decode([raw_row(i, encode(PHOTO.resize(s), "PNG")) for i, s in enumerate([(40, 90), (39, 90)])], settings)
    kept, filtered = rows.to_pylist()
    assert (kept["status"], kept["width"]) == ("ok", 40)
    assert (filtered["status"], filtered["width"], filtered["height"]) == ("filtered", 39, 90)
    assert (filtered["error_stage"], filtered["error_code"]) == (None, None)
    assert filtered["error_message"] == "39 x 90 pixels: a side is shorter than filters.min_side = 40"
    assert not pixels_of(filtered).any()


def test_the_settings_travel_to_other_processes_small() -> None:
    pickled = pickle.dumps(DECODE)
    assert pickle.loads(pickled) == DECODE
    assert len(pickled) < 1_000


def test_photographs_come_out_as_the_processor_gives_them(photo_shards: list[str]) -> None:
    with tarfile.open(photo_shards[0]) as tar:
        images = [tar.extractfile(member).read() for member in tar if member.name.endswith(".jpg")]  # type: ignore[union-attr]
    rows = decode([raw_row(i, image) for i, image in enumerate(images)]).to_pylist()
    assert len(rows) >= 10
    for row, image in zip(rows, images, strict=True):
        assert row["status"] == "ok"
        opened = decode_image(image)
        assert (row["width"], row["height"]) == opened.size
        np.testing.assert_array_equal(pixels_of(row), resize_pixels(opened, SIZE))


def good_files() -> dict[str, bytes]:
    more: dict[str, Any] = {"save_all": True, "append_images": [SMOOTH.resize(PHOTO.size), PHOTO]}
    files = {f"{f} {n}": encode(i, f) for f in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM") for n, i in IMAGES.items()}
    files |= {f"TIFF {c}": encode(PHOTO, "TIFF", compression=c) for c in (None, "tiff_lzw", "tiff_adobe_deflate")}
    files |= {f"{f} animated": encode(PHOTO, f, **more) for f in ("PNG", "WEBP", "GIF", "TIFF")}
    files |= {f"PNG {mode}": encode(PHOTO.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA")}
    files |= {f"TIFF {mode}": encode(PHOTO.convert("L").convert(mode), "TIFF") for mode in ("F", "I", "I;16", "CMYK")}
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 8, "maker" * 9
    files |= {f"{f} exif": encode(PHOTO, f, exif=exif) for f in ("JPEG", "PNG", "WEBP", "TIFF")}
    return files | {"JPEG progressive": encode(PHOTO, "JPEG", progressive=True), "JPEG CMYK": encode(CMYK, "JPEG")}


IMAGES = {"noise": PHOTO, "smooth": SMOOTH}
CMYK = SMOOTH.convert("CMYK")


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    parts = [header, *chunks, (b"IDAT", zlib.compress(bytes(1_000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def bombs_and_strangers() -> list[bytes]:
    sizes = [(60_000, 60_000), (0, 0), (0, 9), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (1, 70_000), (9, 9)]
    gif, bmp = encode(SMOOTH, "GIF"), encode(SMOOTH, "BMP")
    deep = zlib.compress(zlib.compress(bytes(20_000_000)))
    text = zlib.compress(bytes(20_000_000))
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 330, 4, 1, 8)
    recursive = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + entry + struct.pack("<I", 8)
    looped = bytearray(encode(PHOTO, "TIFF", save_all=True, append_images=[SMOOTH]))
    struct.pack_into("<I", looped, 4, 8)
    return [
        *(png(width, height) for width, height in sizes),
        *(gif[:6] + struct.pack("<HH", w % 65_536, h % 65_536) + gif[10:] for w, h in sizes),
        *(bmp[:18] + struct.pack("<ii", w, -h) + bmp[26:] for w, h in sizes),
        *(b"P6 %d %d 255\n" % size for size in sizes),
        *(png(9, 9, (kind, b"key\0\0" + data)) for kind in (b"zTXt", b"iCCP", b"eXIf") for data in (deep, text)),
        png(9, 9, *[(b"zTXt", b"k%d\0\0" % i + zlib.compress(bytes(1_000_000))) for i in range(70)]),
        *(recursive, bytes(looped), b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08\xff\xff" + bytes(60)),
        *(
            b"",
            b"\0",
            b"\xff\xd8\xff",
            b"GIF89a",
            b"RIFF\0\0\0\0WEBPVP8X",
            b"BM",
            b"P5\n",
            b"\x89PNG\r\n\x1a\n",
        ),
        *(b"<svg width='9'/>", b"%PDF-1.4\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<!doctype html><html>404"),
        *(b"PK\x03\x04" + bytes(40), b"a caption, not an image", "日本".encode("utf-16"), b"\x1f\x8b\x08" + bytes(20)),
    ]


def hostile_files(count: int, seed: int) -> list[bytes]:
    """Broken, cut, lying and foreign files, `count` in all; the same for the same seed."""
    rng = random.Random(seed)
    good = list(good_files().values())
    files = [*good, *bombs_and_strangers(), *(rng.randbytes(rng.randrange(600)) for _ in range(30))]
    while len(files) < count:
        data = bytearray(rng.choice(good))
        if rng.random() < 0.3:
            files.append(bytes(data[: rng.randrange(len(data))]))
            continue
        reach = len(data) if rng.random() < 0.6 else 120  # else only the header
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(min(reach, len(data)))
            match rng.randrange(4):
                case 0:
                    data[at] ^= 1 << rng.randrange(8)
                case 1:
                    data[at] = rng.choice((0, 1, 127, 128, 255))
                case 2:
                    data[at : at + 4] = rng.choice(
                        (b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\0\0\xea\x60")
                    )
                case _:
                    data[at:at] = rng.randbytes(rng.randrange(1, 9))
        files.append(bytes(data))
    return files


def test_a_thousand_hostile_files_are_a_thousand_rows() -> None:
    files = hostile_files(1_000, seed=11)
    rows = decode([raw_row(i, data) for i, data in enumerate(files)]).to_pylist()
    assert [row["row_in_shard"] for row in rows] == list(range(1_000))
    codes = Counter(row["error_code"] for row in rows)
    for row in rows:
        if row["status"] == "ok":
            assert row["error_code"] is row["error_stage"] is row["error_message"] is None
            assert row["width"] * row["height"] <= 1_000_000
        else:
            assert (row["status"], row["error_stage"]) == ("failed", "decode")
            assert ErrorCode(row["error_code"])
            assert 0 < len(row["error_message"]) <= 300
            assert not any(row["pixels"])
    assert max(row["decode_ms"] for row in rows) < 5_000
    # Not vacuous: the files do what they are meant to.
    assert codes[None] > 200
    assert codes["corrupt_image"] > 200
    assert set(codes) == {
        *(None, "empty_image", "unknown_format", "corrupt_image", "too_many_pixels", "bad_dimensions")
    }


def test_every_undamaged_file_of_the_hostile_ones_is_ok() -> None:
    rows = decode([raw_row(i, data) for i, data in enumerate(good_files().values())]).to_pylist()
    assert {row["status"] for row in rows} == {"ok"}, [r["error_message"] for r in rows if r["status"] != "ok"]


@pytest.mark.parametrize("name", ["JPEG noise", "PNG RGBA", "WEBP noise", "GIF smooth", "TIFF tiff_lzw"])
def test_the_same_bytes_give_the_same_row_but_for_the_time(name: str) -> None:
    data = good_files()[name]
    for image in (data, data[: len(data) // 2]):
        first, second = (decode([raw_row(0, image)]).drop_columns("decode_ms") for _ in range(2))
        assert first.equals(second)
