"""Copy a shard and break two of its images, so that the demo also shows what becomes of bad input."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

BROKEN = {7: lambda image: image[: len(image) // 2], 20: lambda image: b"not an image"}
"""What is done to the image of which row."""


def main(source: Path, target: Path) -> None:
    """Write `target`; every other byte of every member stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    row = -1
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            data = old.extractfile(member).read()  # type: ignore[union-attr]  # a drawn shard holds files alone
            if member.name.endswith(".jpg"):
                row += 1
                data = BROKEN.get(row, bytes)(data)
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    print(f"{target}: {row + 1} drawn scenes, the images of rows {' and '.join(map(str, BROKEN))} broken on purpose")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
