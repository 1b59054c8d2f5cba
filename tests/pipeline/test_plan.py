"""The plan: every shard with its size and version, all missing ones named at once, stable bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mue_model.config import ConfigError
from pipeline.plan import Plan, PlanError, look_up_shard, plan_shards
from pipeline.row_totals import RowCount


def test_knows_size_version_and_rows(tmp_path: Path) -> None:
    paths = []
    for folder in ("x", "y"):
        path = tmp_path / folder / "00000.tar"
        path.parent.mkdir()
        path.write_bytes(folder.encode() * 10)
        paths.append(str(path))
    (tmp_path / "y/00000.tar").write_bytes(b"")
    shards = plan_shards(paths, count_rows=lambda url: None if "/y/" in url else RowCount(7, "counted"))
    assert [shard.shard_id for shard in shards] == ["000000-00000", "000001-00000"]
    assert [shard.url for shard in shards] == paths
    assert [shard.size for shard in shards] == [10, 0]
    assert [(shard.rows, shard.rows_from) for shard in shards] == [(7, "counted"), (None, None)]
    assert look_up_shard(paths[0]) == (shards[0].size, shards[0].etag)


def test_a_rewritten_shard_has_another_version(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"old")
    old = plan_shards([str(path)])
    path.write_bytes(b"new")
    os.utime(path, ns=(1, 1))
    new = plan_shards([str(path)])
    assert old[0].etag != new[0].etag


def test_a_name_that_no_file_can_have_is_named() -> None:
    with pytest.raises(PlanError, match="embedded null byte"):
        plan_shards(["/shards/0\0.tar"])


def test_names_every_missing_shard(tmp_path: Path) -> None:
    present = tmp_path / "00000.tar"
    present.touch()
    os.mkfifo(tmp_path / "pipe.tar")
    urls = [str(present), str(tmp_path / "pipe.tar"), *(str(tmp_path / f"{i:05d}.tar") for i in range(1, 15))]
    with pytest.raises(PlanError) as caught:
        plan_shards(urls, count_rows=lambda url: pytest.fail("counted although shards are missing"))
    message = str(caught.value)
    assert message.startswith("15 of 16 shards cannot be read: ")
    assert f"{tmp_path}/pipe.tar (not a file), {tmp_path}/00001.tar (not found)" in message
    assert f"{tmp_path}/00009.tar (not found) and 5 more; check the paths" in message
    assert "00010" not in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_names_an_unreadable_shard(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.touch(0o000)
    with pytest.raises(PlanError, match=r"a\.tar \(no permission to read\)"):
        plan_shards([str(path)])


def test_names_what_cannot_be_looked_at() -> None:
    with pytest.raises(PlanError, match=r"nonsense://a\.tar \(ValueError: Protocol not known: nonsense"):
        plan_shards(["nonsense://a.tar"])
    with pytest.raises(PlanError, match="its name is not UTF-8"):
        plan_shards(["/corpus/\udcff.tar"])


def test_ten_thousand_shards_in_seconds(tmp_path: Path) -> None:
    urls = [str(tmp_path / f"{i:05d}.tar") for i in range(10_000)]
    for url in urls:
        os.close(os.open(url, os.O_CREAT))
    start = time.perf_counter()
    shards = plan_shards(urls)
    assert time.perf_counter() - start < 10
    assert [shard.url for shard in shards] == urls
    assert shards[-1].shard_id == "009999-09999"


def test_survives_a_round_trip(make_plan: Callable[..., Plan]) -> None:
    plan = make_plan("000000-a", "000001-b", parts={"b": 1, "a": [0.5, None]})
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).to_json() == plan.to_json()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "Expecting property name"),
        (b"\xff", "decode"),
        (b"[]", "out/plan.json"),
        (b'{"shards": []}', "fingerprint: required"),
        (b'{"schema_version": 1}', "schema_version = 1"),
    ],
)
def test_says_what_is_wrong_with_a_plan(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan.from_json(data, where="out/plan.json")


def test_refuses_unknown_keys(make_plan: Callable[..., Plan]) -> None:
    data = make_plan("000000-a").to_json().replace(b'"etag"', b'"etags"')
    with pytest.raises(ConfigError, match="did you mean 'etag'"):
        Plan.from_json(data)
