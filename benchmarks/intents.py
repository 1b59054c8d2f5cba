"""What it costs to have rows in hand on record: milliseconds a call, by callers at a time.

python benchmarks/intents.py [FOLDER]      a path or an fsspec URL; left out: a temporary folder

Only a job in which a process died pays this. A call of 32 rows takes the engine far longer.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from pipeline.hand_record import HandRecord
from pipeline.intents import Care
from pipeline.records import ErrorStage
from pipeline.storage import Storage

ROWS, CALLS = 32, 400
CALLERS = (1, 4, 16)
WORK_S = 0.05
"""What a call does with its rows."""


def ms_per_call(record: HandRecord | None, callers: int) -> float:
    """Return the wall time of a call, work deducted, times the callers that share it."""

    def call(number: int) -> None:
        rows = tuple(("000000-a", number * ROWS + row) for row in range(ROWS))
        if record is None:
            time.sleep(WORK_S)
            return
        with record.holding(rows, Care.TOGETHER):
            time.sleep(WORK_S)

    calls = CALLS if callers > 1 else CALLS // 8
    began = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(call, range(calls)))
    return (time.perf_counter() - began) / calls * callers * 1e3


def main(url: str) -> None:
    figures = []
    print("callers  ms a call  with intents")
    for callers in CALLERS:
        record = HandRecord(Storage.open(url), stage=ErrorStage.INFER, owner=f"bench-{callers}")
        without, with_record = ms_per_call(None, callers), ms_per_call(record, callers)
        figures.append({"callers": callers, "ms_without": round(without, 2), "ms_with": round(with_record, 2)})
        print(f"{callers:7} {without:10.2f} {with_record:13.2f}")
    print(json.dumps({"benchmark": "intents", "rows_per_call": ROWS, "work_ms": WORK_S * 1e3, "figures": figures}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder)
