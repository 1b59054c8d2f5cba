"""A whole job beside its parts: rows a second of the job, of the engine alone, of reading and decoding alone.

    python benchmarks/pipeline.py drawn/train [--shards 6] [--rounds 2] [--policies regroup compact] [--set KEY=VALUE]

The job is `mue run` with one actor, in processes of its own; its speed is that from the first call to the last answer
by the actor's own clock (`metrics/`), waiting for rows included, start-up and the end of the job left out. The engine
alone gets the same rows, decoded before, on as many threads as the job's actor has. The two take turns; the ratio is
the median over rounds. Reading and decoding alone run in this process, on one thread. The slowest part is the
bottleneck; where it is the engine, `engine_on_core` and `engine_awaits_core` say what kept its thread from running at
the speed it has alone (shares of time; what they miss to 1 it slept: no rows, or the interpreter held by a call).
Texts and layers of all policies are compared row by row. Prints a table and, as the last line of stdout, one JSON
document.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.engine_thread import EngineThread, ThreadShares
from cluster.local import torch_threads
from mue_model.config import EngineConfig, EnginePolicy
from mue_model.loading import build_engine
from mue_model.model_names import model_facts
from mue_model.rows import RowInput
from pipeline.fan_out import query_rows
from pipeline.preprocess import DecodeRows
from pipeline.shard_rows import iter_tables
from pipeline.spec import FieldsConfig, InputsConfig

COMPARED = ("uid", "text", "finish_reason", "image_layers_run", "text_layers_run", "decoder_layers_run")


def decoded_rows(shards: list[Path], model: str, limit: int) -> tuple[list[RowInput], float]:
    """Rows as the engine gets them, and the seconds that reading and decoding took."""
    facts, inputs = model_facts(model), InputsConfig(urls=("-",), fields=FieldsConfig())
    decode = DecodeRows.from_processor(facts.processor)
    side, rows, began = facts.processor.image_size, list[RowInput](), time.perf_counter()
    for shard in shards:
        for table in iter_tables(
            str(shard), shard.stem, suffixes=inputs.fields.image_suffixes, max_member_bytes=inputs.max_member_mib << 20
        ):
            asked = (row.asked for row in query_rows(decode(table), side))
            rows += [row for row in asked if row is not None]
            if len(rows) >= limit:
                return rows[:limit], (time.perf_counter() - began) * limit / len(rows)
    return rows, time.perf_counter() - began


def engine_alone(rows: list[RowInput], model: str, policy: EnginePolicy, threads: int) -> float:
    """Rows a second of the engine, all rows at hand."""
    torch.set_num_threads(threads)
    facts = model_facts(model)
    engine = build_engine(facts, facts.exits("default"), facts.generation, EngineConfig(policy=policy))
    engine.submit(rows[:64]).result()
    began = time.perf_counter()
    engine.submit(rows).result()
    seconds = time.perf_counter() - began
    engine.close()
    return len(rows) / seconds


def job(
    shards: list[Path], output: Path, model: str, policy: str, settings: list[str]
) -> tuple[float, float, ThreadShares | None]:
    """Rows a second of a `mue run`'s actor, the seconds of the whole command not in it, its engine thread's shares."""
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-c", "from jobs.cli import main; main()", "-q", "run", *map(str, shards)]
    command += ["--output", str(output), "--model", model, "--actors", "1", "--set", f"engine.policy={policy}"]
    command += [word for setting in settings for word in ("--set", setting)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        watched = EngineThread(process.pid)
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)
    seconds = time.perf_counter() - began
    [path] = (output / "metrics").glob("*.jsonl")
    totals = [line for line in map(json.loads, path.read_text().splitlines()) if line["event"] == "totals"][-1]
    at_it = totals["busy_s"] + totals["idle_s"]
    return totals["rows_ok"] / at_it, seconds - at_it, watched.shares()


def answers(output: Path) -> pa.Table:
    """What must not depend on the policy, by uid."""
    manifest = json.loads((output / "manifest.json").read_text())
    paths = [output / part["path"] for part in manifest["parts"]]
    table = pa.concat_tables([pq.read_table(path, columns=list(COMPARED)) for path in paths])
    return table.take(pc.sort_indices(table, sort_keys=[("uid", "ascending")]))


def main() -> None:
    """Measure, print, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, help="folder of tars, each of as many rows")
    parser.add_argument("--shards", type=int, default=6, dest="count", help="as many of them")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--cores", type=int, default=torch.get_num_threads())
    parser.add_argument("--policies", nargs="+", default=["regroup", "compact"])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the job")
    arguments = parser.parse_args()
    shards = sorted(arguments.shards.glob("*.tar"))[: arguments.count]
    threads = torch_threads(arguments.cores, 1)
    rows, decode_s = decoded_rows(shards, arguments.model, 10**9)
    entries: list[dict[str, Any]] = []
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        for policy in arguments.policies:
            output, runs, shares = Path(folder) / policy, [], list[ThreadShares]()
            for _ in range(arguments.rounds):
                whole, around_s, seen = job(shards, output, arguments.model, policy, arguments.set)
                shares += [seen] if seen else []
                runs.append((whole, engine_alone(rows, arguments.model, policy, threads), around_s))
            tables[policy] = answers(output)
            whole, alone, around_s = map(statistics.median, zip(*runs, strict=True))
            parts = {"engine": alone, "read and decode, one core": len(rows) / decode_s}
            entries.append(
                {
                    "policy": policy,
                    "job_rows_per_s": whole,
                    "engine_alone_rows_per_s": alone,
                    "decode_alone_rows_per_s": len(rows) / decode_s,
                    "job_over_engine": statistics.median(ours / theirs for ours, theirs, _ in runs),
                    "engine_on_core": statistics.median(share.on_core for share in shares) if shares else None,
                    "engine_awaits_core": statistics.median(share.waiting_for_core for share in shares)
                    if shares
                    else None,
                    "around_s": around_s,
                    "bottleneck": min(parts, key=lambda part: parts[part]),
                }
            )
    first = tables[arguments.policies[0]]
    same = {policy: table.equals(first) for policy, table in tables.items()}
    differing = {
        policy: sum(ours != theirs for ours, theirs in zip(table.to_pylist(), first.to_pylist(), strict=True))
        for policy, table in tables.items()
    }
    table = Table(title=f"{len(rows):,} rows, actor of {threads} thread(s)", box=None, title_justify="left")
    for key in entries[0]:
        table.add_column(key, justify="left" if key in ("policy", "bottleneck") else "right")
    for entry in entries:
        table.add_row(*(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in entry.values()))
    Console(width=150).print(table)
    print(f"rows that differ from {arguments.policies[0]}: {differing}")
    print(json.dumps({"threads": threads, "rows": len(rows), "entries": entries, "same": same, "differing": differing}))


if __name__ == "__main__":
    main()
