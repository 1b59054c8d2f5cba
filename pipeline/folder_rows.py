"""Reads one run of a folder of images into rows. An image that cannot be read is a failed row, never an exception."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from pipeline.folder_files import DANGLING
from pipeline.folder_images import FileRun, FolderImage, SeenFile, digest_of_run, iter_images
from pipeline.identity import is_local
from pipeline.image_file import ImageFileError, read_image, read_regular, shown, too_large
from pipeline.passthrough import META_LIMIT_BYTES, Passthrough
from pipeline.raw_row import RawRow
from pipeline.read_ahead import read_ahead
from pipeline.records import ErrorCode, ShardCode
from pipeline.tar_source import ShardError

OBJECTS_AT_A_TIME = 16
"""Images of an object store that are fetched at a time."""
AHEAD_BYTES = 32 << 20
"""Most bytes of images that are fetched ahead."""


def folder_rows(
    url: str, run: FileRun, *, suffixes: Sequence[str], max_image_bytes: int, wanted: Callable[[int], bool]
) -> Iterator[RawRow | None]:
    """Yield the run's rows in order; None, and nothing is opened, where `wanted` says so of the row's number.

    Raises:
        ShardError: The folder cannot be listed, or its files are not those that were planned; before the first row.
    """
    images = _as_planned(url, run, suffixes)

    def read(numbered: tuple[int, FolderImage]) -> RawRow | None:
        number, image = numbered
        return _row(image, max_image_bytes) if wanted(number) else None

    if is_local(url):
        # A local disk gains nothing from threads.
        yield from map(read, enumerate(images))
        return
    pairs = read_ahead(
        enumerate(images),
        read,
        at_a_time=OBJECTS_AT_A_TIME,
        max_bytes=AHEAD_BYTES,
        size_of=lambda numbered: numbered[1].n_bytes,
    )
    for _, row in pairs:
        yield row


def _as_planned(url: str, run: FileRun, suffixes: Sequence[str]) -> list[FolderImage]:
    try:
        images = list(iter_images(url, suffixes, run=run))
    except MemoryError:
        raise
    except Exception as error:  # storage backends raise classes of their own
        message = f"the folder cannot be listed: {type(error).__name__}: {error}"
        raise ShardError(ShardCode.UNREADABLE, message) from error
    if digest_of_run(images) != run.digest:
        message = (
            f"files between {run.first!r} and {run.last!r} were added, removed or changed since the job was planned"
        )
        raise ShardError(ShardCode.CHANGED, message)
    return images


def _row(image: FolderImage, max_image_bytes: int) -> RawRow:
    started = time.perf_counter()
    passthrough = Passthrough()
    for seen in image.beside:
        _pass_through(seen, passthrough)
    data, error = None, None
    try:
        data = _image(image.image, max_image_bytes)
    except ImageFileError as failure:
        error = failure
    return RawRow(
        key=image.key,
        image=data,
        image_suffix=image.image.suffix,
        member_offset=0,
        meta_json=passthrough.to_json(image.image.suffix, 0),
        read_ms=(time.perf_counter() - started) * 1e3,
        error_code=error.code if error else None,
        error_message=str(error).encode("utf-8", "backslashreplace").decode() if error else None,
        # As listed, so that tables are cut in the same places whether or not a read succeeds.
        planned_bytes=image.image.facts.size + sum(min(s.facts.size, META_LIMIT_BYTES) for s in image.beside),
    )


def _image(seen: SeenFile, max_bytes: int) -> bytes:
    facts, place = seen.facts, seen.file.place
    if facts.problem is not None:
        code = ErrorCode.MISSING_IMAGE if facts.problem == DANGLING else ErrorCode.UNREADABLE_IMAGE
        raise ImageFileError(code, f"{shown(place)} {facts.problem}")
    if facts.size > max_bytes:
        raise too_large(place, facts.size)
    return read_image(place, max_bytes=max_bytes, version=facts.version if is_local(place) else None)


def _pass_through(seen: SeenFile, passthrough: Passthrough) -> None:
    """Add what stands beside the image; a file that cannot be read leaves its size."""
    facts, place = seen.facts, seen.file.place
    if facts.problem is not None or facts.size > META_LIMIT_BYTES:
        passthrough.add_omitted(seen.suffix, facts.size)
        return
    try:
        if not facts.size:
            data = b""
        elif is_local(place):
            data = read_regular(place, max_bytes=META_LIMIT_BYTES)
        else:
            data = read_image(place, max_bytes=META_LIMIT_BYTES)
    except ImageFileError:
        passthrough.add_omitted(seen.suffix, facts.size)
        return
    passthrough.add(seen.suffix, data)
