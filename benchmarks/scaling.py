"""Throughput of jobs with 1, 2 and 4 actors on a device of known speed, beside what `mue plan` says of it.

An actor of `engine.rows_per_s` sleeps most of the time, so two cores carry four of them: what is measured is whether
the pipeline keeps its actors busy, not how fast a model is. Then one job is resized while it runs. Prints a table and,
as the last line, one JSON document. Exits with 1 where a job stays below `--least` of linear, or the resized one loses
or doubles a row.
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
import tarfile
import tempfile
import threading
import time
from typing import Any

import ray
from PIL import Image
from rich.console import Console
from rich.table import Table

from cluster.projection import ClusterShape, StageTimes, project
from jobs.commit_times import commit_times
from jobs.dry_run import dry_run
from jobs.progress import ProgressView
from jobs.run import run_job
from jobs.spec import load_spec
from jobs.steering import scale
from pipeline.ledger import Ledger
from pipeline.publish import receipt_path
from pipeline.storage import Storage

SHARDS = 4
SETTINGS = (
    *("output.rows_per_part=8", "actors.rows_per_call=4", "actors.concurrent_calls=6", "actors.num_cpus=0.1"),
    *("engine.group_size=4", "engine.image_group_size=4", "engine.rows_in_flight=12", "engine.threads=1"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--pace", type=float, default=2.0, help="rows a second of one actor")
    parser.add_argument(
        "--least", type=float, default=0.95, help="of linear: of so many times one actor's rows a second"
    )
    parser.add_argument("--seconds", type=float, default=90.0, help="about how long each job answers")
    arguments = parser.parse_args()
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")  # on a busy machine
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    with tempfile.TemporaryDirectory(prefix="mue-") as name:
        folder = Path(name)
        found = [measured(folder, actors, arguments.pace, arguments.seconds) for actors in arguments.actors]
        resized = resized_job(folder, arguments.pace, arguments.seconds)
    report(found, resized, arguments.pace)
    slow = [job["actors"] for job in found if job["of_linear"] < arguments.least]
    if slow:
        sys.exit(f"below {arguments.least} of linear: {slow} actors")
    if resized["exit_code"] or not resized["distinct_rows"] == resized["live_rows"] == resized["rows"]:
        sys.exit(f"the resized job did not commit every row once: {resized}")


def measured(folder: Path, actors: int, pace: float, seconds: float) -> dict[str, Any]:
    """Run one job, and say how fast it answered between its first part and its last."""
    rows = round(actors * pace * seconds)
    output = folder / f"out{actors}"
    shards = draw(folder / f"in{actors}", rows)
    times = stage_times(shards, folder / f"plan{actors}", pace)
    began = time.monotonic()
    code = run(shards, output, actors, pace)
    wall_s = time.monotonic() - began
    if code:
        sys.exit(f"the job with {actors} actors ended with {code}")
    shape = ClusterShape(nodes=1, cpus_per_node=os.cpu_count() or 1, gpus_per_node=0, actors=actors, cpus_per_actor=0.1)
    planned = project(rows, times, shape)
    return {
        "actors": actors,
        "rows": rows,
        "rows_per_s": round(rate(output), 3),
        "planned_rows_per_s": round(planned.rows_per_s, 3),
        "bound_by": planned.bound_by,
        "wall_s": round(wall_s, 1),
        "planned_wall_s": round(planned.wall_s, 1),
        "occupancy_planned": {name: round(share, 3) for name, share in planned.occupancy.items()},
    }


def resized_job(folder: Path, pace: float, seconds: float) -> dict[str, Any]:
    """Run a job with one actor, give it four in the middle, and say how long that took."""
    output = folder / "resized"
    rows, done = round(3 * pace * seconds), []
    shards = draw(folder / "in-resized", rows)
    output.mkdir()
    ledger = Ledger(Storage.open(str(output)))

    def resize() -> None:
        while ledger.progress().rows_committed < 10 * pace:
            time.sleep(0.5)
        done.append(scale(ledger, min_actors=4, max_actors=4, wait_s=1200))

    asker = threading.Thread(target=resize, daemon=True)
    asker.start()
    code = run(shards, output, 1, pace)
    asker.join()
    live = [row["uid"] for table in ledger.read_live(columns=["uid"]) for row in table.to_pylist()]
    facts = {"exit_code": code, "rows": rows, "live_rows": len(live), "distinct_rows": len(set(live))}
    return {"in_force_s": done[0].in_force_s, "first_part_s": done[0].first_part_s, **facts}


def stage_times(shards: Path, output: Path, pace: float) -> StageTimes:
    """What `mue plan` measures; an actor's speed is the pace, which is below the model's."""
    overrides = ["model=seeded", f"engine.rows_per_s={pace}", *SETTINGS]
    sample = dry_run(load_spec(None, inputs=[str(shards)], output=str(output), overrides=overrides), rows=8).sample
    assert sample.read_ms is not None
    assert sample.decode_ms is not None
    return StageTimes(
        read_ms=sample.read_ms, decode_ms=sample.decode_ms, rows_per_s_per_actor=pace, load_s=sample.load_s
    )


def run(shards: Path, output: Path, actors: int, pace: float) -> int:
    """Run the job on the Ray of this process; returns its exit code."""
    overrides = ["model=seeded", f"engine.rows_per_s={pace}", f"actors.min={actors}", f"actors.max={actors}", *SETTINGS]
    spec = load_spec(None, inputs=[str(shards)], output=str(output), overrides=overrides)
    return int(run_job(spec, progress=ProgressView("lines", every_s=60)).exit_code)


def rate(output: Path) -> float:
    """Rows a second between the first and the last commit; the first part's rows were made before."""
    ledger = Ledger(Storage.open(str(output)))
    times = commit_times(ledger)
    parts = sorted((times[receipt_path(r.id)], r.part.rows) for r in ledger.receipts() if r.part)
    return sum(rows for _, rows in parts[1:]) / (parts[-1][0] - parts[0][0]).total_seconds()


def draw(folder: Path, rows: int) -> Path:
    """Draw shards of `rows` images in all."""
    folder.mkdir()
    rng = random.Random(rows)
    for number in range(SHARDS):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for row in range(number, rows, SHARDS):
                jpeg = io.BytesIO()
                Image.new("RGB", (160, 160), tuple(rng.randrange(256) for _ in range(3))).save(jpeg, "JPEG")
                member = tarfile.TarInfo(f"r{row:06d}.jpg")
                member.size = len(jpeg.getvalue())
                tar.addfile(member, io.BytesIO(jpeg.getvalue()))
    return folder


def report(found: list[dict[str, Any]], resized: dict[str, Any], pace: float) -> None:
    """Print the table and the JSON document."""
    table = Table("actors", "rows", "rows/s", "of linear", "planned rows/s", "wall s", "planned wall s")
    one = found[0]["rows_per_s"] / found[0]["actors"]
    for job in found:
        job["of_linear"] = round(job["rows_per_s"] / (one * job["actors"]), 3)
        job["of_pace"] = round(job["rows_per_s"] / (pace * job["actors"]), 3)
        cells = ("actors", "rows", "rows_per_s", "of_linear", "planned_rows_per_s", "wall_s", "planned_wall_s")
        table.add_row(*(str(job[cell]) for cell in cells))
    Console().print(table)
    print(json.dumps({"pace": pace, "jobs": found, "resized": resized, "load_average": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
