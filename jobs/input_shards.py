"""The inputs of a finished job as they are now: where each shard is, and its rows as the job read them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import pyarrow as pa

from jobs.verify_folder import Folder
from mue_model.config import ConfigError
from pipeline.folder_images import FileRun, digest_of_run, iter_images
from pipeline.plan import PlannedShard
from pipeline.shard_rows import iter_tables
from pipeline.spec import InputsConfig, JobSpec


def located(shard: PlannedShard, moved: str | None) -> str:
    """Return where a shard is now; `moved` is the folder in which all of them lie, None: where they were."""
    return shard.url if moved is None else posixpath.join(moved, posixpath.basename(shard.url.rstrip("/")))


def inputs_config(folder: Folder) -> InputsConfig:
    """Return how the job read its inputs; raise `ConfigError` where no attempt recorded it."""
    assert folder.plan is not None
    for attempt in reversed(folder.attempts):
        try:
            spec = JobSpec.model_validate(attempt.get("spec"))
        except ValueError:
            continue
        return spec.inputs.model_copy(update={"fields": folder.plan.fields})
    raise ConfigError(f"{folder.url}/run.json: no attempt has recorded its settings")


def run_now(inputs: InputsConfig, run: FileRun, url: str) -> tuple[FileRun, int]:
    """Return the run of the folder `url` with the digest that it has now, and how many images are in it.

    A copy has other modification times, and so another digest; it can be read by the one that it has.
    """
    images = list(iter_images(url, inputs.fields.image_suffixes, run=run))
    return run.model_copy(update={"digest": digest_of_run(images)}), len(images)


def raw_tables(
    inputs: InputsConfig, shard: PlannedShard, url: str, skip: tuple[tuple[int, int], ...] = ()
) -> Iterator[pa.Table]:
    """Yield the shard's rows as the job read them."""
    return iter_tables(
        url,
        shard.shard_id,
        suffixes=inputs.fields.image_suffixes,
        max_member_bytes=inputs.max_member_mib << 20,
        column=inputs.fields.image_column,
        files=shard.files,
        skip=skip,
    )
