"""Cuts a folder of images into shards when a job is planned."""

from __future__ import annotations

import logging
from collections import Counter

from pipeline.folder_images import CountedRun, cut_into_runs, iter_images
from pipeline.shard_urls import PlanError

logger = logging.getLogger(__name__)

_SHOWN = 8


def runs_of_folder(url: str, suffixes: tuple[str, ...]) -> list[CountedRun]:
    """Return the folder's runs in order; what it holds beside images is logged by suffix, never passed over in silence.

    Raises:
        PlanError: The folder, or one in it, cannot be listed, or there is no image.
    """
    if url.startswith(("http://", "https://")):
        raise PlanError(
            f"{url}: a folder over http has no reliable listing; pack its images into tars, or list them "
            "in a Parquet file with a column 'url'"
        )
    left_out: Counter[str] = Counter()
    try:
        runs = list(cut_into_runs(iter_images(url, suffixes, left_out=left_out)))
    except OSError as error:
        place = error.filename or url
        raise PlanError(f"folder {place} cannot be listed: {error.strerror or error}; check its permissions") from error
    except Exception as error:
        # Object stores raise their client library's own types, which have no common base.
        raise PlanError(f"folder {url} cannot be listed: {type(error).__name__}: {error}") from error
    others = ", ".join(f"{count:,} .{suffix}" for suffix, count in left_out.most_common(_SHOWN))
    if not runs:
        wanted = ", ".join(f".{suffix}" for suffix in suffixes)
        holds = f"; it holds {others}" if others else ""
        raise PlanError(
            f"folder {url} holds no shard (.tar, .parquet) and no image ({wanted}){holds}; "
            "check the path, or name the images' suffixes in inputs.fields.image"
        )
    if others:
        logger.warning(
            "%s: %d files are in no row (%s); images are what inputs.fields.image names",
            url,
            sum(left_out.values()),
            others,
        )
    return runs
