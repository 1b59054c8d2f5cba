"""The ledger of a very large job: what its receipts and shards cost in seconds and memory.

    python benchmarks/ledger.py [--receipts 100000] [--shards 10000] [--folder DIR]

Receipts are generated, ten a shard; their data files are one byte each, for nothing here reads them but by size. Every
step runs in a process of its own, so that its peak memory is its own; the base is a process that only imports the
ledger. `start`: the first look at all receipts, as a driver or `mue status` does. `look again`: a poll of the progress
display. `finalize`: the proof and the manifest. `plan`: a local corpus of empty tars, looked up and fingerprinted.
`rerun`: `mue run` on a finished job, which opens no shard. Prints a table and, as the last line of stdout, one JSON
document.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.planning import prepare
from pipeline.ledger import Ledger
from pipeline.receipts import Part, Receipt, ShardOutcome
from pipeline.records import ShardState
from pipeline.spec import InputsConfig, JobSpec, OutputConfig
from pipeline.storage import Storage

ROWS_PER_PART, PARTS_PER_SHARD = 256, 10


def spec_of(folder: Path) -> JobSpec:
    """The job: as many tars as lie in the folder."""
    last = len(os.listdir(folder / "in")) - 1
    urls = (str(folder / "in" / f"{{00000..{last:05d}}}.tar"),)
    return JobSpec(inputs=InputsConfig(urls=urls), output=OutputConfig(url=str(folder / "out")), model="seeded")


def generate(folder: Path, shards: int, receipts: int) -> None:
    """Lay out a corpus of empty tars, the plan of a job on them, and the receipts that finish it."""
    (folder / "in").mkdir()
    for shard in range(shards):
        (folder / "in" / f"{shard:05d}.tar").write_bytes(bytes(1024))
    plan = Ledger(Storage.open(str(folder / "out"))).adopt_plan(prepare(spec_of(folder)).plan)
    for name in ("done", "data"):
        (folder / "out" / name).mkdir()
    parts = receipts // shards
    for index in range(receipts):
        shard_id, part = plan.shards[index // parts].shard_id, index % parts
        name = f"20260101T000000-abc123-{index // 10_000:04d}-{index:06d}"
        last = part == parts - 1
        receipt = Receipt(
            id=name,
            attempt="20260101T000000-abc123",
            part=Part(path=f"data/{name}.parquet", rows=ROWS_PER_PART, bytes=1, sha256="a" * 64),
            ranges={shard_id: ((part * ROWS_PER_PART, (part + 1) * ROWS_PER_PART),)},
            totals={shard_id: parts * ROWS_PER_PART} if last else {},
            shards={shard_id: ShardOutcome(state=ShardState.DONE)} if last else {},
        )
        (folder / "out" / "done" / f"{name}.json").write_bytes(receipt.to_json())
        (folder / "out" / "data" / f"{name}.parquet").write_bytes(b"x")


def _base(folder: Path) -> dict[str, float]:
    return {}


def _look(folder: Path) -> dict[str, float]:
    ledger, seconds = Ledger(Storage.open(str(folder / "out"))), {}
    for name in ("start", "look again"):
        began = time.perf_counter()
        ledger.progress()
        seconds[name] = time.perf_counter() - began
    return seconds


def _compact(folder: Path) -> dict[str, float]:
    ledger = Ledger(Storage.open(str(folder / "out")))
    ledger.receipts()
    return {"compact": _timed(ledger.compact)}


def _finalize(folder: Path) -> dict[str, float]:
    ledger = Ledger(Storage.open(str(folder / "out")))
    plan = ledger.plan()
    return {"finalize": _timed(lambda: ledger.finalize(plan))}


def _plan(folder: Path) -> dict[str, float]:
    return {"plan": _timed(lambda: prepare(spec_of(folder)))}


def _rerun(folder: Path) -> dict[str, float]:
    from jobs.progress import ProgressView
    from jobs.run import run_job

    outcome = []
    seconds = _timed(lambda: outcome.append(run_job(spec_of(folder), progress=ProgressView("silent"))))
    assert (outcome[0].exit_code, outcome[0].shards_opened) == (0, 0), "the job was finished"
    return {"rerun": seconds}


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


STEPS: dict[str, Callable[[Path], dict[str, float]]] = {
    "base": _base,
    "look": _look,
    "compact": _compact,
    "finalize": _finalize,
    "plan": _plan,
    "rerun": _rerun,
}


def step(name: str, folder: Path, *, receipts: str) -> list[dict[str, Any]]:
    """Run one step in a process of its own and return its entries."""
    command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    seconds = found["seconds"] or {"base": 0.0}
    return [{"receipts": receipts, "step": what, "s": s, "peak_mib": found["peak_mib"]} for what, s in seconds.items()]


def measure(folder: Path) -> list[dict[str, Any]]:
    """All steps, with every receipt in a file of its own and then compacted."""
    entries = step("base", folder, receipts="none") + step("plan", folder, receipts="none")
    entries += step("look", folder, receipts="own files")
    entries += step("compact", folder, receipts="own files")
    for name in ("look", "finalize", "rerun"):
        entries += step(name, folder, receipts="compact")
    return entries


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--receipts", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where to lay the job out; left out: a temporary folder")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        seconds = STEPS[arguments.step](arguments.folder)
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak_mib": peak_mib}))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        generate(Path(folder), arguments.shards, arguments.receipts)
        entries = measure(Path(folder))
    table = Table(title=f"{arguments.receipts:,} receipts, {arguments.shards:,} shards", box=None)
    for key in entries[0]:
        table.add_column(key, justify="right" if key in ("s", "peak_mib") else "left")
    for entry in entries:
        table.add_row(*(f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in entry.values()))
    Console(width=100).print(table)
    print(json.dumps({"receipts": arguments.receipts, "shards": arguments.shards, "entries": entries}))


if __name__ == "__main__":
    main()
