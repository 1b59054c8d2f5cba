"""How many rows a shard has, as far as that can be known without reading it, and how it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.identity import is_local
from pipeline.parquet_file import columns_of, is_parquet, open_parquet
from pipeline.records import ShardCode
from pipeline.shard_urls import PlanError
from pipeline.side_car import SideCars
from pipeline.spec import FieldsConfig
from pipeline.tar_rows import count_tar_rows
from pipeline.tar_source import ShardError

RowSource = Literal["counted", "footer", "listed", "side-car"]
"""Headers of the tar; footer of the Parquet file; listing of the folder; what img2dataset wrote beside the tar."""


@dataclass(frozen=True)
class RowCount:
    """Rows of a shard. A side-car may be wrong; the other sources are not unless the shard is damaged."""

    rows: int
    source: RowSource


def count_rows(
    url: str, fields: FieldsConfig, *, headers: bool = True, side_cars: SideCars | None = None
) -> RowCount | None:
    """Return the rows of a tar or Parquet file, or None where only reading it would tell.

    Args:
        url: The shard.
        fields: Say which column of a Parquet file is the image.
        headers: Whether to walk a local tar's headers; else only side-cars and footers are looked at.
        side_cars: What is known of side-cars already, for calls about many tars.

    Raises:
        PlanError: A Parquet file has no image column, or several.
    """
    if is_parquet(url):
        return _footer(url, fields)
    if headers and is_local(url):
        rows = count_tar_rows(url)
        if rows is not None:
            return RowCount(rows, "counted")
    rows = (side_cars or SideCars()).rows(url)
    return None if rows is None else RowCount(rows, "side-car")


def _footer(url: str, fields: FieldsConfig) -> RowCount | None:
    try:
        with open_parquet(url) as file:
            columns_of(file, named=fields.image_column, suffixes=fields.image_suffixes)
            return RowCount(int(file.metadata.num_rows), "footer")
    except ShardError as error:
        if error.code is ShardCode.BAD_COLUMN:
            raise PlanError(f"{url}: {error.message}") from error
        return None  # reading it will tell, with a code
