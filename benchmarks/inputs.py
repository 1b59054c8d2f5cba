"""Readers' peak memory by kind and size of shard, and how long planning takes by number of shards and files.

    python benchmarks/inputs.py [--mib 100] [--files 100000]

Each shard is read to its end in a process of its own, at the given size and at ten times that. Prints tables and, as
the last line, one JSON document. `resident` is the process's peak; what it has after its imports is shown beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import io
import json
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.plan import plan_shards
from pipeline.row_totals import count_rows
from pipeline.shard_urls import expand_urls
from pipeline.spec import FieldsConfig

MIB = 1 << 20
IMAGE_BYTES = 150_000
TARS = 10_000
FIELDS = FieldsConfig()

READ = """
import sys, time
from pipeline.plan import plan_shards
from pipeline.shard_rows import iter_tables

def peak():  # not ru_maxrss, which is the parent's where that had more
    return next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))

before, rows, began = peak(), 0, time.perf_counter()
for shard in plan_shards(sys.argv[1:]):
    for table in iter_tables(shard.url, "000000-a", suffixes=("jpg",), max_member_bytes=1 << 28, files=shard.files):
        rows += sum(table["uid"].is_valid().to_pylist())
print(rows, before, peak(), time.perf_counter() - began)
"""


def images(n_bytes: int) -> Iterator[bytes]:
    """Noise in images' place, no two alike: readers do not look inside, but Parquet stores what repeats once."""
    rng = np.random.default_rng(0)
    for _ in range(n_bytes // IMAGE_BYTES):
        yield rng.bytes(IMAGE_BYTES)


def write_tar(path: Path, n_bytes: int, mode: str = "w") -> None:
    """One tar, compressed as `mode` says."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for number, image in enumerate(images(n_bytes)):
            info = tarfile.TarInfo(f"{number:07d}.jpg")
            info.size = len(image)
            tar.addfile(info, io.BytesIO(image))


def write_parquet(path: Path, n_bytes: int, rows: int) -> None:
    """One Parquet file with row groups of `rows` rows, as pyarrow writes it by default."""
    schema = pa.schema([("image", pa.binary()), ("caption", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        batch: list[bytes] = []
        for image in images(n_bytes):
            batch.append(image)
            if len(batch) == rows:
                writer.write_table(pa.table({"image": batch, "caption": ["noise"] * rows}, schema))
                batch = []
        if batch:
            writer.write_table(pa.table({"image": batch, "caption": ["noise"] * len(batch)}, schema))


def write_folder(path: Path, n_bytes: int) -> None:
    """One folder of files."""
    path.mkdir()
    for number, image in enumerate(images(n_bytes)):
        (path / f"{number:07d}.jpg").write_bytes(image)


KINDS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "tar": ("a.tar", write_tar),
    "tar.gz": ("a.tar.gz", lambda path, n_bytes: write_tar(path, n_bytes, "w:gz")),
    "folder": ("a", write_folder),
    "Parquet, 100 rows a group": ("a.parquet", lambda path, n_bytes: write_parquet(path, n_bytes, 100)),
    "Parquet, 1,000 rows a group": ("a.parquet", lambda path, n_bytes: write_parquet(path, n_bytes, 1000)),
}


def peak(kind: str, n_bytes: int) -> dict[str, float | str]:
    """Write a shard and read it in another process."""
    name, write = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path, n_bytes)
        done = subprocess.run(
            [sys.executable, "-c", READ, str(path)], check=True, capture_output=True, text=True, cwd=Path.cwd()
        )
    rows, before, resident, seconds = done.stdout.split()
    return {
        "kind": kind,
        "mib": n_bytes // MIB,
        "rows": int(rows),
        "resident_before_mib": int(before),
        "resident_mib": int(resident),
        "read_s": round(float(seconds), 2),
    }


def planning(files: int) -> list[dict[str, float | str]]:
    """Time to plan a flat folder of many files, and many tars with side-cars."""
    found: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for number in range(files):
            os.close(os.open(photos / f"{number:07d}.jpg", os.O_CREAT))
        began = time.perf_counter()
        shards = plan_shards(expand_urls([str(photos)]))
        found.append(
            {"what": f"a flat folder of {files:,} images", "shards": len(shards), "s": time.perf_counter() - began}
        )
        tars = Path(folder) / "tars"
        tars.mkdir()
        for number in range(TARS):
            (tars / f"{number:05d}.tar").write_bytes(bytes(1024))
            (tars / f"{number:05d}_stats.json").write_text('{"successes": 10}')
        for headers, what in ((True, "counted"), (False, "by side-cars")):
            began = time.perf_counter()
            shards = plan_shards(
                expand_urls([str(tars)]), count_rows=lambda url, h=headers: count_rows(url, FIELDS, headers=h)
            )
            found.append(
                {"what": f"{TARS:,} tars, rows {what}", "shards": len(shards), "s": time.perf_counter() - began}
            )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=100)
    parser.add_argument("--files", type=int, default=100_000)
    arguments = parser.parse_args()
    peaks = [peak(kind, n_bytes * MIB) for kind in KINDS for n_bytes in (arguments.mib, 10 * arguments.mib)]
    for found in peaks:
        shard = f"{found['kind']:28} {found['mib']:6} MiB  {found['rows']:7} rows"
        print(
            f"{shard}  resident {found['resident_before_mib']:4} -> {found['resident_mib']:5} MiB  {found['read_s']} s"
        )
    plans = planning(arguments.files)
    for plan in plans:
        print(f"{plan['what']:44} {plan['shards']:6} shards  {plan['s']:6.2f} s")
    print(json.dumps({"readers": peaks, "planning": [{**plan, "s": round(float(plan["s"]), 2)} for plan in plans]}))


if __name__ == "__main__":
    main()
