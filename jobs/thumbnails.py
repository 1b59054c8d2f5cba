"""Small pictures of rows, read again from the inputs; each is proven to be the row's by its digest, or left out.

What goes into a page is encoded anew: nothing of a file's own bytes gets there.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from mue_model.images import ImageError, decode_image
from pipeline.intervals import of_numbers, subtract
from pipeline.parquet_file import is_parquet
from pipeline.plan import Plan, PlannedShard
from pipeline.rows_wanted import BEYOND
from pipeline.shard_open import is_seekable_tar, open_stored
from pipeline.shard_rows import iter_tables
from pipeline.tar_reader import read_members

SIDE = 192
_QUALITY = 72
_MOST_IMAGE_BYTES = 64 << 20
_MOST_READ_BYTES = 1 << 30
"""A compressed shard is read from its beginning; larger ones are not."""


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture for a page, or why there is none."""

    data_uri: str | None
    width: int = 0
    height: int = 0
    missing: str = ""


def thumbnails(plan: Plan, rows: Iterable[Mapping[str, Any]]) -> dict[str, Thumbnail]:
    """Return a thumbnail for each row by uid; never raises because of an input.

    Args:
        plan: Where the inputs are.
        rows: With uid, shard_id, row_in_shard, image_sha256 and meta_json.
    """
    by_shard: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_shard.setdefault(row["shard_id"], []).append(row)
    shards = {shard.shard_id: shard for shard in plan.shards}
    found: dict[str, Thumbnail] = {}
    for shard_id, wanted in by_shard.items():
        images: dict[str, bytes] = {}
        reason = "the input is not at hand"
        try:
            images.update(_images(plan, shards[shard_id], wanted))
        except Exception as error:  # storage backends raise classes of their own; a report is made without pictures
            reason = f"the input cannot be read: {type(error).__name__}"
        for row in wanted:
            data = images.get(row["uid"])
            found[row["uid"]] = Thumbnail(data_uri=None, missing=reason) if data is None else _thumbnail(row, data)
    return found


def _images(plan: Plan, shard: PlannedShard, rows: list[Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes of rows' images by uid."""
    if shard.files is None and not is_parquet(shard.url) and is_seekable_tar(shard.url):
        with open_stored(shard.url, forward_only=False) as file:
            for row in rows:
                file.seek(json.loads(row["meta_json"])["offset"])
                member = next(read_members(file, max_member_bytes=_MOST_IMAGE_BYTES))
                if member.data is not None:
                    yield row["uid"], member.data
        return
    if shard.files is None and not is_parquet(shard.url) and shard.size > _MOST_READ_BYTES:
        return
    wanted: dict[int, list[str]] = {}
    for row in rows:
        wanted.setdefault(row["row_in_shard"], []).append(row["uid"])
    tables = iter_tables(
        shard.url,
        shard.shard_id,
        suffixes=plan.fields.image_suffixes,
        max_member_bytes=_MOST_IMAGE_BYTES,
        column=plan.fields.image_column,
        files=shard.files,
        skip=subtract(((0, BEYOND),), of_numbers(wanted)),
    )
    for table in tables:
        for raw in table.to_pylist():
            for uid in wanted.get(raw["row_in_shard"], ()) if raw["image"] is not None else ():
                yield uid, raw["image"]


def _thumbnail(row: Mapping[str, Any], data: bytes) -> Thumbnail:
    if hashlib.sha256(data).hexdigest() != row["image_sha256"]:
        return Thumbnail(data_uri=None, missing="the input has another image there now")
    try:
        image = decode_image(data)
    except ImageError:
        return Thumbnail(data_uri=None, missing="the image cannot be decoded")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    encoded = base64.b64encode(stream.getvalue()).decode()
    return Thumbnail(data_uri=f"data:image/jpeg;base64,{encoded}", width=image.width, height=image.height)
