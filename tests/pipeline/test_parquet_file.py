"""Opening Parquet shards: whose fault it is where that fails."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.parquet_file import columns_of, open_parquet, parquet_error
from pipeline.records import ShardCode
from pipeline.tar_source import ShardError


def code_of(url: str) -> ShardCode:
    with pytest.raises(ShardError) as caught, open_parquet(url):
        pass
    return caught.value.code


def test_a_broken_file_is_told_from_one_that_storage_does_not_give(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing more")
    assert code_of(str(tmp_path / "a.parquet")) is ShardCode.BAD_PARQUET
    assert code_of(str(tmp_path / "gone.parquet")) is ShardCode.UNREADABLE
    assert code_of(str(tmp_path)) is ShardCode.UNREADABLE
    assert code_of("nosuchprotocol://a/b.parquet") is ShardCode.UNREADABLE


def test_what_its_user_raises_is_not_taken_for_the_files_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": [1]}), path)
    with pytest.raises(KeyError), open_parquet(str(path)):
        raise KeyError("ours")
    with open_parquet(str(path)) as file:
        assert file.metadata.num_rows == 1
        with pytest.raises(ShardError) as caught:
            columns_of(file, named=None, suffixes=("jpg",))
    assert caught.value.code is ShardCode.BAD_COLUMN


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (pa.ArrowInvalid("bad page"), ShardCode.BAD_PARQUET),
        (OSError("Couldn't deserialize thrift"), ShardCode.BAD_PARQUET),
        (OSError(5, "Input/output error"), ShardCode.UNREADABLE),
        (RuntimeError("a backend's own"), ShardCode.UNREADABLE),
        (ShardError(ShardCode.CHANGED, "another version"), ShardCode.CHANGED),
    ],
)
def test_errors_while_reading(error: Exception, code: ShardCode) -> None:
    assert parquet_error(error, "row group 3").code is code
