"""A model process whose memory is really short: groups shrink, and only the row that fits nowhere fails.

What the kernel's killer does to a process, SIGKILL with rows in hand, is in `test_poison.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger import Ledger
from pipeline.storage import Storage

HOSTILE = Path(__file__).parent / "hostile"
ROWS = 60
DEADLINE_S = 280


def run(shard: str, output: Path, **short: str) -> dict[str, dict[str, Any]]:
    path = os.pathsep.join([str(HOSTILE), os.environ.get("PYTHONPATH", "")])
    settings = ("output.rows_per_part=16", "engine.group_size=16", "engine.threads=1", "model=seeded")
    options = [word for one in settings for word in ("--set", one)]
    done = subprocess.run(
        [sys.executable, "-c", "from jobs.cli import main; main()", "run", shard, "--output", str(output), *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled", **short},
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [row for table in Ledger(Storage.open(str(output))).read_live() for row in table.to_pylist()]
    assert len(rows) == ROWS
    return {row["uid"]: row for row in rows}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_groups_shrink_until_they_fit_and_the_row_that_never_does_fails_alone(
    tmp_path: Path, draw_shard: Callable[..., dict[str, bytes]]
) -> None:
    draw_shard(tmp_path / "00000.tar", ROWS)
    shard, huge = str(tmp_path / "00000.tar"), "000000-00000/17/0"

    # 16 rows of a group ask for 3 GiB of the one that is left, four for three quarters of it.
    rows = run(shard, tmp_path / "short", MUE_TEST_ROOM_MIB="1024", MUE_TEST_ROW_MIB="192", MUE_TEST_HUGE=huge)

    failed = rows.pop(huge)
    assert (failed["status"], failed["error_stage"], failed["error_code"]) == ("failed", "infer", "out_of_memory")
    assert f"{1 << 42} bytes" in failed["error_message"], "how much the row asked for"
    assert {row["status"] for row in rows.values()} == {"ok"}
    undisturbed = run(shard, tmp_path / "undisturbed")
    assert len({row["text"] for row in undisturbed.values()}) > ROWS / 4, "the texts must tell rows apart"
    for uid, row in rows.items():
        for name in ("key", "text", "image_layers_run", "decoder_layers_run", "flops_executed"):
            assert row[name] == undisturbed[uid][name]
