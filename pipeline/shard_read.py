"""One shard to read. No ray import: planning what is left needs only this."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.folder_images import FileRun


@dataclass(frozen=True, kw_only=True)
class ShardRead:
    """One shard to read, and which of its rows are committed already."""

    shard_id: str
    url: str
    size: int
    """Size in bytes when the job was planned; another size now makes the shard bad."""
    etag: str | None = None
    """Version when the job was planned; another one now makes the shard bad too."""
    files: FileRun | None = None
    """Which images of the folder `url` the shard is; None of tars and Parquet files."""
    skip: tuple[tuple[int, int], ...] = ()
    """Ranges [start, stop) of row_in_shard that are not emitted."""
