"""Actors that die between two calls, or as they start: the job goes on, or says why it cannot."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipeline.ledger import Ledger
from pipeline.spec import ActorsConfig
from pipeline.storage import Storage

DrawShard = Callable[..., dict[str, bytes]]
HOSTILE = Path(__file__).parent / "hostile"
ROWS = 40
DEADLINE_S = 200


def command(*arguments: str) -> list[str]:
    chosen = ("output.rows_per_part=16", "actors.rows_per_call=8", "engine.threads=1")
    settings = [word for one in chosen for word in ("--set", one)]
    return [
        sys.executable,
        "-c",
        "from jobs.cli import main; main()",
        "run",
        *arguments,
        "--model",
        "seeded",
        *settings,
    ]


@contextmanager
def server_that_waits(folder: Path, name: str, release: threading.Event) -> Iterator[str]:
    """Serves `folder`, but `name` not before `release` is set."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            if self.path.endswith(name):
                release.wait(DEADLINE_S)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    release.set()
    server.shutdown()


def actor_of(job: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The process of the job's model actor; between two calls it has its name back."""
    for process in psutil.Process(job.pid).children(recursive=True):
        try:
            if " ".join(process.cmdline()).strip().startswith("ray::MapWorker(MapBatches(GuardedModelActor))"):
                return process
        except psutil.Error:
            continue
    return None


def wait_for(found: Callable[[], object], job: subprocess.Popen[bytes], stderr: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not found():
        assert time.monotonic() < deadline, stderr.read_text()
        assert job.poll() is None, stderr.read_text()
        time.sleep(0.1)


def test_an_actor_that_dies_between_calls_is_restarted_each_time(tmp_path: Path, draw_shard: DrawShard) -> None:
    for shard in range(2):
        draw_shard(tmp_path / f"{shard:05d}.tar", ROWS, seed=shard)
    release, output, stderr = threading.Event(), tmp_path / "out", tmp_path / "stderr.txt"
    with server_that_waits(tmp_path, "00001.tar", release) as url, stderr.open("wb") as log:
        urls = [f"{url}/{shard:05d}.tar" for shard in range(2)]
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
        job = subprocess.Popen(command(*urls, "--output", str(output)), stdout=log, stderr=log, env=environment)
        ledger = Ledger(Storage.open(str(output)))
        try:
            wait_for(lambda: sum(table.num_rows for table in ledger.read_live()) > 0, job, stderr)
            killed: set[int] = set()
            for _ in range(ActorsConfig().max_restarts + 2):

                def another() -> bool:
                    actor = actor_of(job)
                    if actor is None or actor.pid in killed:
                        return False
                    killed.add(actor.pid)
                    actor.kill()
                    return True

                wait_for(another, job, stderr)
            release.set()
            assert job.wait(DEADLINE_S) == 0, stderr.read_text()
        finally:
            job.kill()  # if it still runs; its Ray ends with it
    rows = [row for table in ledger.read_live() for row in table.to_pylist()]
    assert len({row["uid"] for row in rows}) == len(rows) == 2 * ROWS
    assert {row["status"] for row in rows} == {"ok"}
    assert not list((output / "starts").glob("*"))


@pytest.mark.slow
def test_an_actor_that_always_dies_as_it_starts_ends_the_job_and_says_so(tmp_path: Path, draw_shard: DrawShard) -> None:
    draw_shard(tmp_path / "00000.tar", ROWS)
    path = os.pathsep.join([str(HOSTILE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled", "MUE_TEST_KILL_AT_START": "1"}
    arguments = (str(tmp_path / "00000.tar"), "--output", str(tmp_path / "out"), "--set", "actors.max_restarts=2")
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "the model actor died 2 times in a row as it started" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out/starts").glob("*"))
