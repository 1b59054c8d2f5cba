from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.thumbnails import SIDE, thumbnails
from pipeline.plan import Plan, plan_shards
from pipeline.shard_rows import iter_tables


def _jpeg(colour: str, size: tuple[int, int] = (400, 100)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "JPEG")
    return stream.getvalue()


IMAGES = [_jpeg("red"), _jpeg("green"), _jpeg("blue", (60, 60))]


def _input(kind: str, folder: Path) -> Path:
    if kind == "parquet":
        pq.write_table(pa.table({"image": pa.array(IMAGES, pa.binary())}), folder / "in.parquet")
        return folder / "in.parquet"
    if kind == "folder":
        (folder / "in").mkdir()
        for number, data in enumerate(IMAGES):
            (folder / "in" / f"{number}.jpg").write_bytes(data)
        return folder / "in"
    path = folder / f"in.{kind}"
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
        for number, data in enumerate(IMAGES):
            for suffix, content in (("txt", b"x"), ("jpg", data)):
                # A long name has an extension header, which belongs to its member.
                member = tarfile.TarInfo(f"{'long' * 40}{number}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def _rows(plan: Plan) -> list[dict[str, Any]]:
    """Rows as a job over the plan has them."""
    [shard] = plan.shards
    tables = iter_tables(
        shard.url, shard.shard_id, suffixes=("jpg",), max_member_bytes=1 << 20, files=shard.files, column=None
    )
    rows = [row for table in tables for row in table.to_pylist() if row["row_in_shard"] is not None]
    return [row | {"image_sha256": hashlib.sha256(row["image"]).hexdigest()} for row in rows]


@pytest.fixture
def planned(job: Any, tmp_path: Path) -> Any:
    def plan_of(kind: str) -> Plan:
        found: Plan = job.plan.model_copy(update={"shards": plan_shards([str(_input(kind, tmp_path))])})
        return found

    return plan_of


def _colour(uri: str) -> tuple[int, ...]:
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert max(image.size) <= SIDE
        pixel = image.convert("RGB").getpixel((5, 5))
    assert isinstance(pixel, tuple)
    return tuple(round(value / 255) for value in pixel)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "parquet", "folder"])
def test_each_row_has_its_own_picture(planned: Any, kind: str) -> None:
    plan = planned(kind)
    rows = _rows(plan)
    found = thumbnails(plan, [rows[2], rows[0]])
    assert set(found) == {rows[0]["uid"], rows[2]["uid"]}
    assert _colour(found[rows[0]["uid"]].data_uri) == (1, 0, 0)
    assert _colour(found[rows[2]["uid"]].data_uri) == (0, 0, 1)
    assert (found[rows[0]["uid"]].width, found[rows[2]["uid"]].width) == (SIDE, 60)


def test_another_image_in_its_place_is_not_shown(planned: Any, tmp_path: Path) -> None:
    plan = planned("tar")
    rows = _rows(plan)
    content = bytearray((tmp_path / "in.tar").read_bytes())
    at = content.find(b"\xff\xd8\xff")
    content[at + 300] ^= 1
    (tmp_path / "in.tar").write_bytes(bytes(content))
    found = thumbnails(plan, rows)
    assert found[rows[0]["uid"]].data_uri is None
    assert "another image" in found[rows[0]["uid"]].missing
    assert found[rows[1]["uid"]].data_uri


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "parquet", "folder"])
def test_an_input_that_is_gone_or_broken_leaves_out_pictures_only(planned: Any, tmp_path: Path, kind: str) -> None:
    plan = planned(kind)
    rows = _rows(plan)
    place = tmp_path / ("in" if kind == "folder" else f"in.{kind}")
    place.rename(tmp_path / "elsewhere")
    assert all(found.data_uri is None and found.missing for found in thumbnails(plan, rows).values())
    if kind != "folder":
        place.write_bytes(b"garbage")
        assert all(found.data_uri is None and found.missing for found in thumbnails(plan, rows).values())
