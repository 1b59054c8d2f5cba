"""Ray for one job: an existing cluster where there is one, else a local one that ends with the job."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import ray
import ray.data

from pipeline.errors import PipelineError

logger = logging.getLogger(__name__)

OOM_RETRIES = 3
"""How often a local Ray runs a task again that it ended for want of memory; a cluster has a setting of its own."""
_HOST_AND_PORT = re.compile(r"(ray://)?(?P<host>[^/:\[\]]+|\[[^\]]+\]):(?P<port>\d+)/?")
_REACHED_WITHIN_S = 10.0


class RayUnavailable(PipelineError):
    """Ray could not be started, or the cluster not be reached. Nothing was run."""


@contextmanager
def ray_session(*, num_cpus: int) -> Iterator[tuple[int, ...]]:
    """Have Ray running inside the block, which is told the CPUs of each of its nodes.

    A Ray that this process is connected to already is used and left alone; `RAY_ADDRESS` names a cluster to
    connect to; else a local Ray with `num_cpus` starts, without dashboard, and ends with the block.

    Raises:
        RayUnavailable: There is no Ray at the address, or a local one does not start.
    """
    if ray.is_initialized():
        yield (num_cpus,)
        return
    _keep_off_the_terminal()
    address = os.environ.get("RAY_ADDRESS")
    verbose = logger.isEnabledFor(logging.DEBUG)
    # What workers print, libtiff's complaints about broken images for one, stays in Ray's log files.
    options = {"logging_level": logging.ERROR, "log_to_driver": verbose}
    # A task that fails, as those of a dying actor, makes Ray print its traceback on stdout, where our data goes.
    with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stderr if verbose else nowhere):
        if address:
            _check_reachable(address)
            _init(f"connect to Ray at RAY_ADDRESS={address}", address=address, **options)
        else:
            # Ray ends a worker when memory runs low and runs its task again, for ever unless told.
            os.environ.setdefault("RAY_task_oom_retries", str(OOM_RETRIES))
            _init("start Ray here", address="local", num_cpus=num_cpus, include_dashboard=False, **options)
        try:
            yield _cpus_of_nodes(num_cpus) if address else (num_cpus,)
        finally:
            ray.shutdown()


def _cpus_of_nodes(otherwise: int) -> tuple[int, ...]:
    """Of the nodes that are there now; one that joins later is taken to be like them."""
    found = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return tuple(cpus for cpus in found if cpus > 0) or (otherwise,)


def _keep_off_the_terminal() -> None:
    """Leave Ray Data's plans and tracebacks to its log file: errors come back as exceptions. -v shows all."""
    if logger.isEnabledFor(logging.DEBUG):
        return
    for handler in logging.getLogger("ray.data").handlers:
        if handler.get_name() == "console":
            handler.setLevel(logging.CRITICAL)


def _init(what: str, **options: Any) -> None:
    try:
        ray.init(**options)
    except Exception as error:
        # Ray has no type of its own for what goes wrong here; a plain Exception is among them.
        raise RayUnavailable(
            f"cannot {what}: {type(error).__name__}: {str(error).strip()}; nothing was run. 'ray status' and 'mue "
            "doctor' tell more, and the same command again goes on where the job is"
        ) from error


def _check_reachable(address: str) -> None:
    """Raise at once where nobody listens: Ray would try for minutes. Names that are no host and port are Ray's."""
    if not (match := _HOST_AND_PORT.fullmatch(address)):
        return
    try:
        socket.create_connection((match["host"].strip("[]"), int(match["port"])), timeout=_REACHED_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise RayUnavailable(
            f"no Ray cluster answers at RAY_ADDRESS={address}: {error}; check the address ('ray status' on the head "
            "node) and the way there, or unset RAY_ADDRESS to run on this machine"
        ) from error
