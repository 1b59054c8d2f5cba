"""Inputs are those that the rows came from: by version where they lie as planned, else by the digest of each image."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from mue_model.config import ConfigError
from pipeline.errors import PipelineError, some
from pipeline.folder_images import digest_of_run, iter_images
from pipeline.plan import PlanError, PlannedShard, look_up_shard
from pipeline.receipts import live
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


def inputs(folder: Folder, tally: Tally, moved: str | None) -> None:
    """Every input shard that is at hand is the one that was planned."""
    assert folder.plan is not None
    absent = []
    for shard in folder.plan.shards:
        url = located(shard, moved)
        try:
            _shard(folder, tally, shard, url)
        except (PlanError, OSError) as error:
            absent.append(f"{shard.shard_id} ({error})")
    if absent:
        tally.not_checked(
            f"{len(absent)} of {len(folder.plan.shards)} input shards are not at hand: {some(absent[:2])}; "
            "--inputs FOLDER says where they are now"
        )


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


def _shard(folder: Folder, tally: Tally, shard: PlannedShard, url: str) -> None:
    if shard.files is None:
        size, etag = look_up_shard(url)
        if size != shard.size:
            tally.look()
            tally.mismatch(f"input {shard.shard_id} ({url})", f"{shard.size:,} bytes, as planned", f"{size:,} bytes")
            return
        same = etag == shard.etag
    else:
        suffixes = inputs_config(folder).fields.image_suffixes
        same = digest_of_run(list(iter_images(url, suffixes, run=shard.files))) == shard.files.digest
    tally.look()
    if not same:
        # A copy has another modification time: what its images are decides.
        _images(folder, tally, shard, url)


def _images(folder: Folder, tally: Tally, shard: PlannedShard, url: str) -> None:
    recorded = _recorded(folder, shard.shard_id)
    wanted = dict(recorded)
    for table in raw_tables(inputs_config(folder), shard, url):
        for row, image in zip(table["row_in_shard"].to_pylist(), table["image"], strict=True):
            expected = wanted.pop(row, None)
            if expected is None or not image.is_valid:
                continue
            found = hashlib.sha256(image.as_buffer()).hexdigest()
            if found != expected:
                uid = f"{shard.shard_id}/{row}"
                tally.mismatch(f"input {url}, row {uid}", f"an image with SHA-256 {expected}", found)
    for row in sorted(wanted)[:1]:
        what = f"{len(wanted):,} images of committed rows are not in it, the first is that of row {row}"
        tally.mismatch(f"input {shard.shard_id} ({url})", f"{len(recorded):,} images", what)


def _recorded(folder: Folder, shard_id: str) -> dict[int, str]:
    """Return the digest of each image of a shard whose rows are committed."""
    found: dict[int, str] = {}
    for receipt in live(folder.receipts or ()):
        if receipt.part is None or shard_id not in receipt.ranges:
            continue
        try:
            table = folder.ledger.read_part(receipt, ["shard_id", "row_in_shard", "image_sha256"])
        except (PipelineError, OSError):
            continue  # the checks of files name it
        rows: list[dict[str, Any]] = table.to_pylist()
        found |= {
            row["row_in_shard"]: row["image_sha256"]
            for row in rows
            if row["shard_id"] == shard_id and row["image_sha256"] is not None
        }
    return found
