"""Which process drives a job, and whether it still runs: told without any clock that can jump."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

import psutil

from mue_model.config import Config

Life = Literal["runs", "gone", "unknown"]


class Driver(Config):
    """A process, so described that no other one, before or after, fits the description."""

    host: str
    place: str
    """Where process ids mean the same: this start of the machine and its namespace of process ids."""
    pid: int
    started: str
    """When it started, as the kernel counts it."""
    attempt: str
    """The attempt at the job that it makes."""

    @classmethod
    def this(cls, attempt: str) -> Driver:
        """Return the description of the process that asks."""
        pid = os.getpid()
        return cls(host=platform.node(), place=_place(), pid=pid, started=_started(pid) or "", attempt=attempt)

    def life(self) -> Life:
        """Return whether it runs; `unknown` where it ran on another machine, or in another container."""
        if (self.host, self.place) != (platform.node(), _place()):
            return "unknown"
        return "runs" if _started(self.pid) == self.started else "gone"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (attempt {self.attempt})"


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """The process's start, or None where there is no such process or it is dead and not yet collected."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        try:
            # In ticks since the machine started: psutil's time moves when somebody sets the clock.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        except OSError:
            return str(process.create_time())
    except psutil.Error:
        return None
