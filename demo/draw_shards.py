"""Draw a few hundred simple scenes as WebDataset shards in the layout of img2dataset (jpg, txt, json).

Two images are broken on purpose, so that the demo also shows what becomes of bad input. The drawn corpus for
training and evaluation is another matter; this only makes something to run on.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from pathlib import Path

import webdataset
from PIL import Image, ImageDraw

COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "black", "white"]
SHAPES = ["circle", "square", "triangle"]
SIDE = 160


def draw_scene(rng: random.Random) -> tuple[bytes, str]:
    """Return a JPEG with one to three shapes, and a caption that names them."""
    background, *colours = rng.sample(COLOURS, 4)
    image = Image.new("RGB", (SIDE, SIDE), background)
    pen = ImageDraw.Draw(image)
    names = []
    for colour in colours[: rng.randint(1, 3)]:
        shape, size = rng.choice(SHAPES), rng.randint(24, 64)
        x, y = rng.randint(0, SIDE - size), rng.randint(0, SIDE - size)
        if shape == "circle":
            pen.ellipse((x, y, x + size, y + size), fill=colour)
        elif shape == "square":
            pen.rectangle((x, y, x + size, y + size), fill=colour)
        else:
            pen.polygon([(x, y + size), (x + size, y + size), (x + size // 2, y)], fill=colour)
        names.append(f"a {colour} {shape}")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), " and ".join(names) + f" on {background}"


def main() -> None:
    """Write the shards; the same arguments give the same files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rows", type=int, default=64, help="rows of each shard")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    for shard in range(arguments.shards):
        with webdataset.TarWriter(str(arguments.folder / f"{shard:05d}.tar"), mtime=0) as writer:
            for row in range(arguments.rows):
                image, caption = draw_scene(rng)
                if row == 7 and shard < 2:
                    image = image[: len(image) // 2] if shard else b"not an image"
                key = f"{shard:05d}{row:04d}"
                meta = json.dumps({"key": key, "caption": caption}).encode()
                writer.write({"__key__": key, "jpg": image, "txt": caption.encode(), "json": meta})
    print(f"{arguments.shards} shards of {arguments.rows} drawn scenes in {arguments.folder}")


if __name__ == "__main__":
    main()
