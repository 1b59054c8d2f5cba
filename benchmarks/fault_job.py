"""A real job that gets shot at: started, watched through its ledger, and hit in one of its processes or nodes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from pipeline.ledger import Ledger
from pipeline.storage import Storage

SETTINGS = ("output.rows_per_part=16", "actors.rows_per_call=8", "engine.group_size=8", "engine.threads=1")
TITLES = {
    "actor": ("GuardedModelActor",),
    "reader": ("ray::ReadShards", "ray::MapBatches(GuardedDecode)", "ray::StreamingRepartition"),
}
"""What stands in the command lines of the processes of a kind while they work."""
NODE = {"num_cpus": 2}

Victims = list[dict[str, Any]]


class FaultJob:
    """`mue run` with one output folder, in a local Ray of its own or on a cluster."""

    def __init__(self, shards: Sequence[str], output: Path, cluster: Cluster | None = None) -> None:
        self.output, self._shards, self._cluster = output, shards, cluster
        self._ledger = Ledger(Storage.open(str(output)))
        self._orphans: list[psutil.Process] = []
        self._log = output.with_suffix(".stderr")
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        options = [word for setting in SETTINGS for word in ("--set", setting)]
        command = [sys.executable, "-c", "from jobs.cli import main; main()", "run", *self._shards]
        root = str(Path(__file__).resolve().parent.parent)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
        }
        if self._cluster:
            environment["RAY_ADDRESS"] = self._cluster.address
        with self._log.open("ab") as stderr:
            return subprocess.Popen(
                [*command, "--output", str(self.output), "--model", "seeded", *options],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
            )

    def start_again(self) -> None:
        """Type the same command again."""
        self.process = self._start()

    @property
    def rows_committed(self) -> int:
        """Input rows that a receipt vouches for now."""
        return self._ledger.progress().rows_committed

    def receipts(self) -> dict[str, str]:
        """The attempt of every receipt by its id."""
        return {receipt.id: receipt.attempt for receipt in self._ledger.receipts()}

    def rows(self) -> list[dict[str, Any]]:
        """The live rows as a reader of the output finds them."""
        return [row for table in Ledger(Storage.open(str(self.output))).read_live() for row in table.to_pylist()]

    def finished(self) -> bool:
        """Whether the manifest vouches for every row of the plan."""
        return self._ledger.finalized(self._ledger.plan())

    def stderr(self) -> str:
        """The last lines that the last driver wrote."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-20:])

    def hit(self, kind: str, rng: random.Random) -> Victims:
        """Kill something of this kind that works at this moment, as SIGKILL does; return what, nothing if none does."""
        if kind == "driver":
            self._orphans += _family(self.process.pid)
            self.process.kill()
            self.process.wait()
            return [{"pid": self.process.pid, "title": "driver"}]
        if kind == "node":
            return self._hit_node(rng)
        working = [
            process for process in _family(self.process.pid) if any(title in _title(process) for title in TITLES[kind])
        ]
        if not working:
            return []
        victim = rng.choice(working)
        title = _title(victim)
        _kill(victim)
        return [{"pid": victim.pid, "title": title}]

    def _hit_node(self, rng: random.Random) -> Victims:
        """Kill a node with all that runs on it, and let a fresh one join."""
        assert self._cluster is not None
        node = rng.choice(sorted(self._cluster.worker_nodes, key=lambda node: node.unique_id))
        raylet = node.all_processes["raylet"][0].process.pid
        victims = [{"pid": raylet, "title": "raylet"}]
        victims += [
            {"pid": process.pid, "title": title}
            for process in _family(raylet)
            if (title := _title(process)).startswith("ray::") and "Agent" not in title and title != "ray::IDLE"
        ]
        self._cluster.remove_node(node, allow_graceful=False)
        self._cluster.add_node(wait=False, **NODE)
        return victims

    def bury(self) -> None:
        """End what killed drivers left running, by the processes themselves and not by their names."""
        for orphan in self._orphans:
            _kill(orphan)
        self._orphans = []

    def close(self) -> None:
        """Leave no process of this job behind."""
        self._orphans += _family(self.process.pid)
        self.process.kill()
        self.process.wait()
        self.bury()


@contextmanager
def cluster_of_three() -> Iterator[Cluster]:
    """A head without CPUs, which the driver joins, and two nodes that do the work."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(**NODE)
        yield cluster
    finally:
        cluster.shutdown()
        time.sleep(1)


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
