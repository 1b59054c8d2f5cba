"""Row totals that img2dataset wrote beside a tar: `00000_stats.json` and `00000.parquet` for `00000.tar`.

They save a reading when a job is planned, and may be wrong: nothing that a job proves rests on them.
"""

from __future__ import annotations

import json
import os

import fsspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.identity import is_local

_LARGEST_STATS = 1 << 20


class SideCars:
    """Looks for side-cars; where an object store's folder has none beside one tar, its other tars are not asked about.

    May be shared by threads.
    """

    def __init__(self) -> None:
        self._without: set[str] = set()

    def rows(self, url: str) -> int | None:
        """Return what `side_car_rows` returns, or None without asking."""
        folder = url.rpartition("/")[0]
        if folder in self._without:
            return None
        rows = side_car_rows(url)
        # A local disk is quick to ask, and a side-car that is missing there says nothing about the others.
        if rows is None and not is_local(url):
            self._without.add(folder)
        return rows


def side_car_rows(url: str) -> int | None:
    """Return how many images the tar's side-cars say it holds; None where there are none that make sense.

    Only what was downloaded is in the tar: a table's rows with another status than `success` do not count.
    """
    folder, slash, name = url.rpartition("/")
    stem = f"{folder}{slash}{name.split('.', 1)[0]}"
    try:
        rows = _from_stats(f"{stem}_stats.json")
        return _from_table(f"{stem}.parquet") if rows is None else rows
    except MemoryError:
        raise
    except Exception:  # a side-car is a help, and storage backends raise classes of their own
        return None


def _from_stats(url: str) -> int | None:
    data = _read(url)
    if data is None:
        return None
    try:
        facts = json.loads(data)
    except ValueError:
        return None
    rows = facts.get("successes") if isinstance(facts, dict) else None
    return rows if isinstance(rows, int) and not isinstance(rows, bool) and rows >= 0 else None


def _from_table(url: str) -> int | None:
    if is_local(url):
        return _successes(pq.ParquetFile(url)) if os.path.isfile(url) else None
    fs, path = fsspec.url_to_fs(url, use_listings_cache=False)
    if not fs.exists(path):
        return None
    with fs.open(path, "rb") as raw:
        return _successes(pq.ParquetFile(raw))


def _successes(file: pq.ParquetFile) -> int:
    if "status" not in file.schema_arrow.names:
        return int(file.metadata.num_rows)
    status = file.read(columns=["status"])["status"]
    return int(pc.sum(pc.equal(status, "success")).as_py() or 0)


def _read(url: str) -> bytes | None:
    if is_local(url):
        if not os.path.isfile(url):
            return None
        with open(url, "rb") as file:
            return file.read(_LARGEST_STATS)
    fs, path = fsspec.url_to_fs(url, use_listings_cache=False)
    try:
        data: bytes = fs.cat_file(path)
    except FileNotFoundError:
        return None
    return data[:_LARGEST_STATS]
