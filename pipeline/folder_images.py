"""A folder of images as rows: every image file is one, with the files beside it that differ only in suffix.

A folder is cut into runs of `ROWS_PER_RUN` rows in listing order. A run is a shard: it is named by its first and last
image, and a digest over the names, sizes and versions of its files says whether it is still the planned one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mue_model.config import Config
from pipeline.folder_files import FileFacts, FolderFile, Position, list_files, position_of

ROWS_PER_RUN = 4096
"""Rows of one shard of a folder: about as many bytes as a usual tar, and few listings of a flat folder."""


class FileRun(Config):
    """Which images of a folder form one shard."""

    first: str
    """Path of the first image inside the folder."""
    last: str
    """Path of the last one; it belongs to the run."""
    digest: str
    """Over the names, sizes and versions of all files of the run's rows."""


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file with what was known about it when it was listed."""

    suffix: str
    """Lower-case, without a dot."""
    file: FolderFile
    facts: FileFacts


@dataclass(frozen=True, slots=True)
class FolderImage:
    """One row of a folder."""

    key: str
    """Path inside the folder without suffix."""
    path: str
    """Path inside the folder."""
    image: SeenFile
    beside: tuple[SeenFile, ...]
    """Files of the same folder and name with other suffixes, images excepted."""

    @property
    def n_bytes(self) -> int:
        """Size of all its files."""
        return self.image.facts.size + sum(seen.facts.size for seen in self.beside)


@dataclass(frozen=True, slots=True)
class CountedRun:
    """A run with what planning wants to know."""

    run: FileRun
    rows: int
    n_bytes: int


def iter_images(
    url: str, suffixes: Sequence[str], *, run: FileRun | None = None, left_out: Counter[str] | None = None
) -> Iterator[FolderImage]:
    """Yield the folder's images in order.

    Args:
        url: The folder.
        suffixes: Suffixes of images, lower-case, without dots.
        run: Only the images from its first to its last, and as little of the rest as possible is listed.
        left_out: Counts by suffix the files that belong to no row.

    Raises:
        OSError: As `list_files`.
    """
    first, last = (position_of(run.first), position_of(run.last)) if run else (None, None)
    longest_first = tuple(sorted(suffixes, key=len, reverse=True))
    for folders, files in list_files(url, first=first, last=last):
        yield from _images_of(folders, files, longest_first, first, last, left_out)


def cut_into_runs(images: Iterable[FolderImage], *, rows_per_run: int = ROWS_PER_RUN) -> Iterator[CountedRun]:
    """Yield runs that hold every image once, in order."""
    building: _Run | None = None
    for image in images:
        building = building or _Run(image)
        building.add(image)
        if building.rows == rows_per_run:
            yield building.counted()
            building = None
    if building is not None:
        yield building.counted()


def digest_of_run(images: Sequence[FolderImage]) -> str:
    """Return the digest that a run of these images has."""
    return next(cut_into_runs(images, rows_per_run=len(images))).run.digest if images else ""


class _Run:
    def __init__(self, first: FolderImage) -> None:
        self._first = self._last = first.path
        self._digest = hashlib.sha256()
        self.rows = self._n_bytes = 0

    def add(self, image: FolderImage) -> None:
        self._last = image.path
        self.rows += 1
        self._n_bytes += image.n_bytes
        for seen in (image.image, *image.beside):
            facts = seen.facts
            words = (image.path, seen.file.name, str(facts.size), facts.version, facts.problem or "")
            self._digest.update("\0".join(words).encode() + b"\n")

    def counted(self) -> CountedRun:
        run = FileRun(first=self._first, last=self._last, digest=self._digest.hexdigest()[:32])
        return CountedRun(run, self.rows, self._n_bytes)


def _images_of(
    folders: tuple[str, ...],
    files: list[FolderFile],
    suffixes: tuple[str, ...],
    first: Position | None,
    last: Position | None,
    left_out: Counter[str] | None,
) -> Iterator[FolderImage]:
    images: list[tuple[FolderFile, str, str]] = []
    others: dict[str, list[tuple[FolderFile, str]]] = {}
    endings = tuple(f".{suffix}" for suffix in suffixes)
    for file in files:
        lowered = file.name.lower()
        if lowered.endswith(endings):
            ending = next(ending for ending in endings if lowered.endswith(ending))
            images.append((file, file.name[: -len(ending)], ending[1:]))
        else:
            stem, _, suffix = file.name.rpartition(".")
            others.setdefault(stem, []).append((file, suffix.lower()))
    if left_out is not None:
        taken = {stem for _, stem, _ in images}
        left_out.update(suffix for stem, beside in others.items() if stem not in taken for _, suffix in beside)
    for file, stem, suffix in images:
        position = (folders, file.name)
        if (first is None or first <= position) and (last is None or position <= last):
            yield FolderImage(
                key="/".join((*folders, stem)),
                path="/".join((*folders, file.name)),
                image=SeenFile(suffix, file, file.facts()),
                beside=tuple(SeenFile(kind, other, other.facts()) for other, kind in others.get(stem, ())),
            )
