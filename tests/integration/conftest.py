"""One local Ray for the whole session, and small drawn shards to run on."""

from __future__ import annotations

import io
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
SIDE = 160


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """A local Ray with two CPUs, started once."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
    yield
    ray.shutdown()


def scene(rng: random.Random) -> tuple[bytes, str]:
    """Return a JPEG with one to three circles, and a caption that names them."""
    background, *colours = rng.sample(["red", "green", "blue", "yellow", "purple", "black", "white"], 4)
    image = Image.new("RGB", (SIDE, SIDE), background)
    pen = ImageDraw.Draw(image)
    shown = colours[: rng.randint(1, 3)]
    for colour in shown:
        size = rng.randint(24, 64)
        x, y = rng.randint(0, SIDE - size), rng.randint(0, SIDE - size)
        pen.ellipse((x, y, x + size, y + size), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), " and ".join(f"a {colour} circle" for colour in shown)


@pytest.fixture(scope="session")
def draw_scene() -> Callable[[random.Random], tuple[bytes, str]]:
    """Draw one scene: a JPEG and its caption."""
    return scene


@pytest.fixture(scope="session")
def draw_shard() -> Callable[..., dict[str, bytes]]:
    """Write one shard of drawn scenes; returns its images by key."""
    import webdataset

    def draw(
        path: Path,
        rows: int,
        *,
        seed: int = 0,
        replaced: dict[int, bytes] | None = None,
        marks: dict[int, bytes] | None = None,
    ) -> dict[str, bytes]:
        """`marks` are put behind the end of images, where no decoder looks."""
        rng, images = random.Random(seed), {}
        with webdataset.TarWriter(str(path), mtime=0) as writer:
            for row in range(rows):
                image, caption = scene(rng)
                image = (replaced or {}).get(row, image) + (marks or {}).get(row, b"")
                key = f"s{seed}r{row:04d}"
                images[key] = image
                writer.write({"__key__": key, "jpg": image, "txt": caption.encode()})
        return images

    return draw


@pytest.fixture
def with_mue(tmp_path: Path) -> dict[str, str]:
    """An environment in which `mue` and `python` are those of this test run."""
    folder = tmp_path / "bin"
    folder.mkdir()
    guarded = 'if __name__ == "__main__":  # spawned processes import the script\n    main()\n'
    (folder / "mue").write_text(f"#!{sys.executable}\nfrom jobs.cli import main\n{guarded}")
    (folder / "mue").chmod(0o755)
    (folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / "python").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "RAY_AUTH_MODE": "disabled"}
