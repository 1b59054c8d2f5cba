from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mue_model.training.settings import TrainingError
from mue_model.training.shards import corpus_digest, rows_of, shards_of

WriteShard = Callable[..., Path]


def test_rows_come_in_order_with_all_their_members(write_shard: WriteShard) -> None:
    folder = write_shard([{"jpg": b"1", "txt": b"one", "json": b"{}"}, {"jpg": b"2"}, {"json": b"3"}])
    assert list(rows_of(folder / "00000.tar")) == [
        ("row0", {"jpg": b"1", "txt": b"one", "json": b"{}"}),
        ("row1", {"jpg": b"2"}),
        ("row2", {"json": b"3"}),
    ]


def test_shards_come_by_name_and_other_files_are_none(write_shard: WriteShard) -> None:
    for name in ("00001.tar", "00000.tar"):
        folder = write_shard([{"jpg": b"1"}], name=name)
    (folder / "00000.parquet").write_bytes(b"")
    assert [path.name for path in shards_of(folder)] == ["00000.tar", "00001.tar"]


@pytest.mark.parametrize("exists", [True, False])
def test_no_shards_is_an_error_that_names_the_folder(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path if exists else tmp_path / "none"
    with pytest.raises(TrainingError, match=rf"{folder} holds no shards .*mue corpus"):
        shards_of(folder)


def test_the_digest_is_of_names_and_contents(write_shard: WriteShard) -> None:
    digests = {corpus_digest(write_shard([{"jpg": b"1"}])), corpus_digest(write_shard([{"jpg": b"2"}]))}
    digests.add(corpus_digest(write_shard([{"jpg": b"1"}], name="00001.tar")))
    assert len(digests) == 3


def test_a_cut_shard_is_an_error_that_names_it(write_shard: WriteShard) -> None:
    shard = write_shard([{"jpg": b"1" * 2000}, {"jpg": b"2" * 2000}]) / "00000.tar"
    shard.write_bytes(shard.read_bytes()[:4000])
    with pytest.raises(TrainingError, match=r"00000\.tar cannot be read after row 'row0'"):
        list(rows_of(shard))
