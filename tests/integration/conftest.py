"""One local Ray for the whole session, and small drawn shards to run on."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "disabled")


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """A local Ray with two CPUs, started once."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def drawing(request: pytest.FixtureRequest) -> ModuleType:
    """The demo's drawing module."""
    path = Path(request.config.rootpath) / "demo" / "draw_shards.py"
    spec = importlib.util.spec_from_file_location("draw_shards", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def draw_shard(drawing: ModuleType) -> Callable[..., dict[str, bytes]]:
    """Write one shard of drawn scenes; returns its images by key."""
    import random

    import webdataset

    def draw(path: Path, rows: int, *, seed: int = 0, replaced: dict[int, bytes] | None = None) -> dict[str, bytes]:
        rng, images = random.Random(seed), {}
        with webdataset.TarWriter(str(path), mtime=0) as writer:
            for row in range(rows):
                image, caption = drawing.draw_scene(rng)
                image = (replaced or {}).get(row, image)
                key = f"s{seed}r{row:04d}"
                images[key] = image
                writer.write({"__key__": key, "jpg": image, "txt": caption.encode()})
        return images

    return draw
