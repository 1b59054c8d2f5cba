"""Kill processes and nodes of real jobs at random moments; then compare every row with an undisturbed run.

    python benchmarks/faults.py [--points 60] [--seed 0] [--kinds driver actor reader node] [--log faults.jsonl]

A point is one kill. Its moment is drawn in rows: once more than a random share of them is committed, after a random
part of a second. The next one waits until something was committed after the last. Resume time is from the kill to that
commit, which may be of rows that were past the place of death; after a driver's it is the first commit of the driver
that the same command started. Pictures come from an http server no faster than 30 a second. Prints a table and,
as the last line, one JSON document; the log has a line for every point. Exits with 1 if a row is lost, duplicated or
misplaced (its key, text, layers or FLOPs differ), or if a job ended that nobody had ended.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import io
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, TextIO

import webdataset
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

os.environ.setdefault("RAY_AUTH_MODE", "disabled")

from benchmarks.fault_job import FaultJob, Victims, cluster_of_three
from benchmarks.fault_verdict import Row, by_uid, faults_of, what_differs
from benchmarks.slow_store import slow_store

KINDS = ("driver", "actor", "reader", "node")
DEADLINE_S = 240.0
"""Longest wait for the next commit."""
JITTER_S = 1.0
"""A commit was seen just before a kill's moment was found; so long a delay at most takes it away from there."""
SHARDS = 12
ROWS_PER_S = 30
"""The store gives images out no faster: there are readers to kill until the end, and a job takes its time."""


def draw_shards(folder: Path, rows: int, rng: random.Random) -> int:
    """Write `rows` pictures of coloured discs into `SHARDS` shards; returns their bytes."""
    paths = [folder / f"{number:05d}.tar" for number in range(SHARDS)]
    for number, path in enumerate(paths):
        with webdataset.TarWriter(str(path), mtime=0) as writer:
            for row in range(number, rows, SHARDS):
                picture = Image.new("RGB", (320, 240), _colour(rng))
                for _ in range(rng.randint(1, 5)):
                    x, y, size = rng.randint(-40, 280), rng.randint(-40, 200), rng.randint(40, 160)
                    ImageDraw.Draw(picture).ellipse((x, y, x + size, y + size), fill=_colour(rng))
                jpeg = io.BytesIO()
                picture.save(jpeg, "JPEG", quality=95)
                writer.write({"__key__": f"disc{row:06d}", "jpg": jpeg.getvalue()})
    return sum(path.stat().st_size for path in paths)


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


class Gunner:
    """Makes points on one job after another, and keeps what they did."""

    def __init__(self, undisturbed: dict[str, Row], rng: random.Random, log: TextIO) -> None:
        self.points: list[dict[str, Any]] = []
        self.ended: list[dict[str, Any]] = []
        self.faults: dict[str, list[str]] = {"lost": [], "duplicated": [], "misplaced": []}
        self.jobs = 0
        self._undisturbed, self._rng, self._log = undisturbed, rng, log

    def fire_at(self, job: FaultJob, kinds: Sequence[str]) -> list[str]:
        """Make one point of each kind, let the job end and judge its rows; return the kinds it gave no chance for."""
        self.jobs += 1
        rows = len(self._undisturbed)
        shares = sorted(self._rng.random() for _ in kinds)
        missed = []
        for kind, share in zip(kinds, shares, strict=True):
            if self._await(job, partial(_more_than, share * rows, job)):
                time.sleep(self._rng.uniform(0, JITTER_S))
            if not self._point(job, kind):
                missed.append(kind)
        self._await(job, lambda: False, deadline_s=2 * DEADLINE_S)
        if not job.finished():
            self.ended.append({"job": self.jobs, "exit_code": job.process.poll(), "stderr": job.stderr()})
        found = job.rows()
        differ = {row["uid"]: what_differs(row, self._undisturbed) for row in found}
        for name, uids in faults_of(found, self._undisturbed).items():
            self.faults[name] += [f"job {self.jobs}: {uid} {differ.get(uid, '')}".rstrip() for uid in uids]
        return missed

    def _point(self, job: FaultJob, kind: str) -> bool:
        victims: Victims = []
        while not victims:
            if job.process.poll() is not None:
                return False
            before, rows, killed = job.receipts(), job.rows_committed, time.monotonic()
            victims = job.hit(kind, self._rng)
        ended, exit_code = len(self.ended), job.process.poll()
        if kind == "driver":
            job.start_again()
        old_attempts = set(before.values()) if kind == "driver" else set()

        def resumed() -> bool:
            new = job.receipts()
            return any(id not in before and attempt not in old_attempts for id, attempt in new.items())

        resumed_s = time.monotonic() - killed if self._await(job, resumed) else None
        job.bury()
        point = {
            "point": len(self.points) + 1,
            "kind": kind,
            "job": self.jobs,
            "rows_committed": rows,
            "rows_total": len(self._undisturbed),
            "between_commits": 0 < rows < len(self._undisturbed),
            "killed": victims,
            "resumed_s": resumed_s and round(resumed_s, 2),
            "driver_exit_code": self.ended[-1]["exit_code"] if len(self.ended) > ended else exit_code,
        }
        self.points.append(point)
        print(json.dumps(point), file=self._log, flush=True)
        return True

    def _await(self, job: FaultJob, event: Callable[[], bool], deadline_s: float = DEADLINE_S) -> bool:
        """Wait for `event`; False once the job is done. A driver that ended badly is noted and started again, once."""
        deadline, restarts = time.monotonic() + deadline_s, 0
        while time.monotonic() < deadline:
            if event():
                return True
            code = job.process.poll()
            if code == 0 or (code is not None and restarts):
                return event()
            if code is not None:
                self.ended.append({"job": self.jobs, "exit_code": code, "stderr": job.stderr()})
                restarts += 1
                job.start_again()
            time.sleep(0.05)
        return False


def _more_than(rows: float, job: FaultJob) -> bool:
    return job.rows_committed > rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--log", type=Path, default=Path("faults.jsonl"))
    parser.add_argument("--rows", type=int, default=1600, help="rows of one job")
    parser.add_argument("--per-job", type=int, default=8, help="kills in one job")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further job after so long")
    arguments = parser.parse_args()
    began, rng = time.monotonic(), random.Random(arguments.seed)
    with (
        tempfile.TemporaryDirectory() as name,
        arguments.log.open("w", encoding="utf-8") as log,
        slow_store(Path(name)) as store,
    ):
        folder = Path(name)
        store.bytes_per_s = draw_shards(folder, arguments.rows, rng) / arguments.rows * ROWS_PER_S
        shards = [f"{store.url}/{number:05d}.tar" for number in range(SHARDS)]
        undisturbed, wall_s = run_undisturbed(FaultJob(shards, folder / "undisturbed"))
        gunner = Gunner(undisturbed, rng, log)
        left = [arguments.kinds[number % len(arguments.kinds)] for number in range(arguments.points)]
        most_jobs = 2 * (1 + len(left) // arguments.per_job) + len(KINDS)
        while left and gunner.jobs < most_jobs and time.monotonic() - began < arguments.minutes * 60:
            # Nodes die on a cluster, all else in a job's own Ray.
            on_cluster = rng.choice(left) == "node"
            able = [kind for kind in left if (kind == "node") == on_cluster]
            kinds = rng.sample(able, min(arguments.per_job, len(able)))
            for kind in kinds:
                left.remove(kind)
            with cluster_of_three() if on_cluster else nullcontext() as cluster:
                job = FaultJob(shards, folder / f"job{gunner.jobs + 1}", cluster)
                try:
                    left += gunner.fire_at(job, kinds)
                finally:
                    job.close()
            print(f"{len(gunner.points)} of {arguments.points} points, {gunner.jobs} jobs", file=sys.stderr, flush=True)
    texts = len({row["text"] for row in undisturbed.values()})
    report(gunner, {"rows": len(undisturbed), "texts": texts, "undisturbed_s": round(wall_s, 1)}, arguments.kinds)
    sys.exit(1 if gunner.ended or any(gunner.faults.values()) else 0)


def run_undisturbed(job: FaultJob) -> tuple[dict[str, Row], float]:
    """Return what the job says of each row when nobody interferes, and its seconds."""
    began = time.monotonic()
    try:
        if job.process.wait() != 0:
            sys.exit(f"the undisturbed run failed:\n{job.stderr()}")
    finally:
        job.close()
    return by_uid(job.rows()), time.monotonic() - began


def report(gunner: Gunner, facts: dict[str, Any], kinds: Sequence[str]) -> None:
    """Print the findings, a table and the JSON document."""
    for ended in gunner.ended:
        print(f"job {ended['job']} did not go on by itself (exit code {ended['exit_code']}):\n{ended['stderr']}")
    for name, uids in gunner.faults.items():
        for uid in uids[:20]:
            print(f"{name}: {uid}")
    table = Table("killed", "points", "between commits", "resumed: median s", "longest s")
    document = {"points": len(gunner.points), "jobs": gunner.jobs, **facts, "jobs_ended_unasked": len(gunner.ended)}
    document |= {f"rows_{name}": len(uids) for name, uids in gunner.faults.items()}
    document |= {"between_commits": _between(gunner.points), "kinds": {}}
    for kind in (*kinds, "all"):
        points = [point for point in gunner.points if kind in (point["kind"], "all")]
        times = [point["resumed_s"] for point in points if point["resumed_s"] is not None] or [float("nan")]
        found = (len(points), _between(points), round(statistics.median(times), 2), max(times))
        table.add_row(kind, *map(str, found))
        document["kinds"][kind] = dict(
            zip(("points", "between_commits", "resumed_median_s", "resumed_max_s"), found, strict=True)
        )
    Console().print(table)
    print(json.dumps(document))


def _between(points: Sequence[dict[str, Any]]) -> float:
    return round(sum(point["between_commits"] for point in points) / len(points), 3) if points else 0.0


if __name__ == "__main__":
    main()
