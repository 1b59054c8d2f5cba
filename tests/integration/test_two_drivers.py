"""Two real drivers on one output: the second is refused; where the lease was taken away both work, and harm nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.ledger import Ledger
from pipeline.storage import Storage

ROWS, SHARDS = 120, 2
DEADLINE_S = 200
LEASE = "lease/000001.json"


def _start(shards: Path, output: Path, log: Path) -> subprocess.Popen[bytes]:
    arguments = [str(shards / "{00000..00001}.tar"), "--output", str(output), "--model", "seeded"]
    # So long a lease is not renewed in this test: deleting it leaves both drivers at work.
    settings = ["output.rows_per_part=8", "output.lease_s=4000", "engine.threads=1"]
    options = [option for setting in settings for option in ("--set", setting)]
    program = "import sys; from jobs.cli import main; main()"
    with log.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-c", program, "run", *arguments, *options],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        )


def test_two_drivers_on_one_output(tmp_path: Path, draw_shard: Callable[..., dict[str, bytes]]) -> None:
    for shard in range(SHARDS):
        draw_shard(tmp_path / f"{shard:05d}.tar", ROWS, seed=shard)
    output, logs = tmp_path / "out", [tmp_path / name for name in ("first", "refused", "second")]
    first = _start(tmp_path, output, logs[0])
    deadline = time.monotonic() + DEADLINE_S
    while not (output / LEASE).exists():
        assert first.poll() is None, logs[0].read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)

    refused = _start(tmp_path, output, logs[1])
    assert refused.wait(DEADLINE_S) == 1
    [line] = [line for line in logs[1].read_text().splitlines() if line.startswith("error:")]
    assert f"{output} is being worked on by process {first.pid} on " in line
    assert len(json.loads((output / "run.json").read_text())["attempts"]) == 1, "it left no trace"

    (output / LEASE).unlink()
    second = _start(tmp_path, output, logs[2])
    codes = [first.wait(DEADLINE_S), second.wait(DEADLINE_S)]

    # The first finds another driver's lease when it gives its own back, if that one has begun by then.
    assert codes == [0, 0], [log.read_text() for log in logs]
    ledger = Ledger(Storage.open(str(output)))
    receipts = ledger.receipts()
    assert len({receipt.attempt for receipt in receipts}) == 2, "both committed"
    assert any(receipt.replaces for receipt in receipts), "both committed the same rows, which had to be put right"
    rows = [row for table in ledger.read_live() for row in table.to_pylist()]
    assert sorted(row["uid"] for row in rows) == sorted(
        f"{shard:06d}-{shard:05d}/{row}/0" for shard in range(SHARDS) for row in range(ROWS)
    )
    assert all(row["key"] == f"s{int(row['shard_id'][:6])}r{row['row_in_shard']:04d}" for row in rows)
    assert ledger.finalized(ledger.plan())
    by_uid: dict[str, set[str]] = {}
    for path in (output / "data").iterdir():  # those that were replaced too: what either driver said of a row
        for row in pq.read_table(path, columns=["uid", "text"]).to_pylist():
            by_uid.setdefault(row["uid"], set()).add(row["text"])
    assert all(len(texts) == 1 for texts in by_uid.values()), "both drivers say the same of a row"
    assert len({row["text"] for row in rows}) > ROWS / 4, "the texts must tell rows apart"
