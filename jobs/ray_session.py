"""Ray for one job: an existing cluster where there is one, else a local one that ends with the job."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

logger = logging.getLogger(__name__)


@contextmanager
def ray_session(*, num_cpus: int) -> Iterator[None]:
    """Have Ray running inside the block.

    A Ray that this process is connected to already is used and left alone; `RAY_ADDRESS` names a cluster to
    connect to; else a local Ray with `num_cpus` starts, without dashboard, and ends with the block.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    options = {"logging_level": logging.ERROR, "log_to_driver": True}
    if address:
        ray.init(address=address, **options)
    else:
        ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **options)
    try:
        yield
    finally:
        ray.shutdown()
