"""A disk that fills up, or turns read-only, under a real job: it says so, ends, and goes on once that is mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.ledger import Ledger
from pipeline.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROWS, SHARDS = 400, 3
DEADLINE_S = 280


def mount(*options: str) -> bool:
    return subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own; the test skips where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)):
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def start(shards: Path, output: Path) -> subprocess.Popen[str]:
    settings = ("output.rows_per_part=16", "actors.rows_per_call=8", "engine.threads=1", "model=seeded")
    arguments = [str(shards / "{00000..00002}.tar"), "--output", str(output)]
    arguments += [word for one in settings for word in ("--set", one)]
    return subprocess.Popen(
        [sys.executable, "-c", "from jobs.cli import main; main()", "run", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )


def fill(disk: Path) -> None:
    """Leave room for a plan and a few parts."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "ballast").write_bytes(bytes(free - 160 * 1024))


def turn_read_only(disk: Path, job: subprocess.Popen[str], output: Path) -> None:
    """Once something is committed."""
    deadline = time.monotonic() + DEADLINE_S
    while not list((output / "done").glob("*.json")) or not mount("-o", "remount,ro", str(disk)):
        assert job.poll() is None, "the job ended before its disk was spoilt"
        assert time.monotonic() < deadline


def mend(disk: Path, how: str) -> None:
    if how == "full":
        (disk / "ballast").unlink()
    else:
        assert mount("-o", "remount,rw", str(disk))


@pytest.mark.parametrize(("how", "said"), [("full", "the disk is full"), ("read-only", "the file system is read-only")])
def test_the_job_says_what_is_wrong_and_resumes_once_it_is_mended(
    tmp_path: Path, disk: Path, draw_shard: Callable[..., dict[str, bytes]], how: str, said: str
) -> None:
    for shard in range(SHARDS):
        draw_shard(tmp_path / f"{shard:05d}.tar", ROWS, seed=shard)
    output = disk / "out"
    if how == "full":
        fill(disk)
    job = start(tmp_path, output)
    if how == "read-only":
        turn_read_only(disk, job, output)

    _, stderr = job.communicate(timeout=DEADLINE_S)

    assert job.returncode == 1, stderr
    [error] = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert said in error
    assert "Traceback" not in stderr
    before = {path.name: path.read_bytes() for path in (output / "done").glob("*.json")}
    assert before
    mend(disk, how)

    again = start(tmp_path, output)
    _, stderr = again.communicate(timeout=DEADLINE_S)

    assert again.returncode == 0, stderr
    rows = [row for table in Ledger(Storage.open(str(output))).read_live() for row in table.to_pylist()]
    keys = [f"s{shard}r{row:04d}" for shard in range(SHARDS) for row in range(ROWS)]
    assert sorted(row["key"] for row in rows) == keys
    assert all(row["text"] and row["key"] == f"s{int(row['shard_id'][:6])}r{row['row_in_shard']:04d}" for row in rows)
    after = {path.name: path.read_bytes() for path in (output / "done").glob("*.json")}
    assert before.items() <= after.items(), "what was committed stays as it was"
    assert json.loads((output / "run.json").read_text())["exit_code"] == 0
