"""Ray clusters of several nodes on this machine, a user who types `mue` at them, and what must hold afterwards."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.ledger import Ledger
from pipeline.storage import Storage

ROWS, SHARDS = 40, 4
SETTINGS = (
    "output.rows_per_part=8", "actors.rows_per_call=4", "actors.concurrent_calls=4", "actors.num_cpus=0.1",
    "engine.group_size=8", "engine.threads=1",
)  # fmt: skip


START_S = 240


class RayNodes:
    """A head with a job server that wants a token, and nodes that join and leave."""

    def __init__(self, **head: float) -> None:
        """Start the head; `head` are resources, as in num_cpus=2."""
        self.folder = Path(tempfile.mkdtemp(prefix="mue-ray-"))
        token = self.folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {**os.environ, "PATH": path, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        # A busy machine is slow to start processes, and slow to answer for them.
        self.environment |= {"RAY_raylet_start_wait_time_s": "300", "RAY_health_check_timeout_ms": "60000"}
        self.environment["XDG_STATE_HOME"] = str(self.folder)
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN"):
            self.environment.pop(name, None)
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.port, dashboard, metrics = _free_port(), _free_port(), _free_port()
        self.metrics_url = f"http://127.0.0.1:{metrics}/metrics"
        self.url = f"http://127.0.0.1:{dashboard}"
        places = (f"--port={self.port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}")
        places += (f"--metrics-export-port={metrics}",)
        self.head = self._start("--head", "--disable-usage-stats", *places, **head)
        self._await_url()

    def add(self, **resources: float) -> subprocess.Popen[bytes]:
        """Start a node; it joins in some seconds.

        One at a time: two that start together on one machine take the same names for their sockets, and both die.
        """
        before = self._named()
        node = self._start(f"--address=127.0.0.1:{self.port}", **resources)
        deadline = time.monotonic() + START_S
        while self._named() <= before:
            if node.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a node did not start:\n{self._said()}")
            time.sleep(0.1)
        return node

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """End a node with all that runs on it, as a machine that loses power does."""
        family = [node, *_family(node.pid)]
        for process in family:
            _kill(process)
        node.wait()

    def model_actors(self, node: subprocess.Popen[bytes]) -> int:
        """Return how many model actors live on a node, told by the titles that Ray gives its processes."""
        return sum("GuardedModelActor" in " ".join(_title(process)) for process in _family(node.pid))

    def metrics(self) -> dict[str, float]:
        """Return our own metrics as the head's node exports them, summed over processes."""
        found: dict[str, float] = {}
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                match = re.match(r"ray_(mue_\w+)\{(.*)\} (\S+)", line)
                if match:
                    tags = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
                    kept = [tags[name] for name in ("status", "stream", "layers", "stage") if name in tags]
                    name = " ".join([match[1].removesuffix("_total"), *kept])
                    found[name] = found.get(name, 0.0) + float(match[3])
        return found

    def close(self) -> None:
        """Leave nothing behind; a second time does nothing."""
        if not self.folder.exists():
            return
        print(self._said())  # shown where a test failed
        for node in self._nodes:
            self.kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _named(self) -> int:
        """Return how many nodes have taken the names of both their sockets."""
        sockets = self.folder / "session_latest" / "sockets"
        return min(len(list(sockets.glob(name))) for name in ("plasma_store*", "raylet*"))

    def _said(self) -> str:
        return (self.folder / "nodes.log").read_text("utf-8", "replace")[-3000:]

    def _start(self, *options: str, **resources: float) -> subprocess.Popen[bytes]:
        amounts = [f"--{name.replace('_', '-')}={amount:g}" for name, amount in resources.items()]
        store = "--object-store-memory=200000000"
        # Else every Ray on the machine wants the same port for this, and but one of them can take jobs.
        agent = f"--dashboard-agent-listen-port={_free_port()}"
        with (self.folder / "nodes.log").open("ab") as log:
            node = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *options, *amounts, store, agent]
                + ([f"--temp-dir={self.folder}"] if "--head" in options else []),
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.folder,
            )
        self._nodes.append(node)
        return node

    def _await_url(self) -> None:
        """Wait until the job server answers, if only that it wants a token."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.head.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/api/version", timeout=5)
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.5)
        said = self._said()
        self.close()
        raise RuntimeError(f"no job server at {self.url} after {START_S} s:\n{said}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _title(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _kill(process: psutil.Process | subprocess.Popen[bytes]) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


class ClusterUser:
    """Types `mue` commands at a cluster, and reads what they leave."""

    rows = ROWS * SHARDS
    """Of the corpus."""

    def __init__(self, nodes: RayNodes, root: Path) -> None:
        self.nodes, self._root = nodes, root

    def mue(self, *words: object, timeout_s: float = 500, token: bool = True) -> subprocess.CompletedProcess[str]:
        code = "from jobs.cli import main; main()"
        environment = dict(self.nodes.environment)
        if not token:
            environment["RAY_AUTH_TOKEN_PATH"] = str(self.nodes.folder / "no-such-file")
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            capture_output=True, text=True, timeout=timeout_s, check=False, env=environment, cwd=self._root,
        )  # fmt: skip

    def ray(self, *words: object, timeout_s: float = 500) -> subprocess.CompletedProcess[str]:
        """Type a command of Ray's own at this cluster's job server."""
        return subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", *map(str, words)],
            capture_output=True, text=True, timeout=timeout_s, check=False, cwd=self._root,
            env={**self.nodes.environment, "RAY_API_SERVER_ADDRESS": self.nodes.url},
        )  # fmt: skip

    def submit(self, inputs: Path, output: Path, *more: object) -> subprocess.CompletedProcess[str]:
        settings = [word for setting in SETTINGS for word in ("--set", setting)]
        command = ("--json", "submit", f"{inputs}/*.tar", "--output", output, "--model", "seeded")
        return self.mue(*command, "--address", self.nodes.url, *settings, *more)


def _await_that(event: Callable[[], Any], *, deadline_s: float = 400) -> None:
    deadline = time.monotonic() + deadline_s
    while not event():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.25)


def _committed(output: Path) -> int:
    return Ledger(Storage.open(str(output))).progress().rows_committed


def _check_exactly_once(output: Path, rows: int) -> None:
    """Every image once, under its own key, each with the text of an undisturbed run: the seeded model's is a function
    of the image, and every image is another one."""
    ledger = Ledger(Storage.open(str(output)))
    assert ledger.finalized(ledger.plan())
    found = [row for table in ledger.read_live() for row in table.to_pylist()]
    assert len(found) == rows
    assert len({row["uid"] for row in found}) == rows
    for row in found:
        shard, number = row["key"].removeprefix("s").split("r")
        assert (int(row["shard_id"].split("-")[0]), row["row_in_shard"]) == (int(shard), int(number))
        assert row["status"] == "ok"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, draw_shard: Callable[..., Any]) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for shard in range(SHARDS):
        draw_shard(folder / f"{shard:05d}.tar", ROWS, seed=shard)
    return folder


@pytest.fixture(scope="session")
def user(request: pytest.FixtureRequest) -> Iterator[ClusterUser]:
    nodes = RayNodes(num_cpus=3)
    try:
        yield ClusterUser(nodes, request.config.rootpath)
    finally:
        nodes.close()


@pytest.fixture(scope="session")
def await_that() -> Callable[..., None]:
    """Wait until something is so."""
    return _await_that


@pytest.fixture(scope="session")
def committed() -> Callable[[Path], int]:
    """Rows that receipts vouch for now."""
    return _committed


@pytest.fixture(scope="session")
def check_exactly_once() -> Callable[[Path, int], None]:
    """Assert that the output has every row once, where it belongs."""
    return _check_exactly_once


@pytest.fixture
def new_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., ClusterUser]]:
    """Start clusters that end with the test."""
    started: list[RayNodes] = []

    def start(**head: float) -> ClusterUser:
        started.append(RayNodes(**head))
        return ClusterUser(started[-1], request.config.rootpath)

    yield start
    for nodes in started:
        nodes.close()
