"""Random rows answered again from their inputs by the reference: exact, a near tie with its margin, or a mismatch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs.second_answer import SecondAnswer
from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from jobs.verify_inputs import inputs_config, located, raw_tables
from jobs.verify_model import JobModel
from pipeline.errors import PipelineError
from pipeline.fan_out import query_rows
from pipeline.folder_images import iter_images
from pipeline.identity import parse_uid
from pipeline.plan import PlanError, look_up_shard
from pipeline.preprocess import DecodeRows
from pipeline.records import ROW_SCHEMA, RowStatus
from pipeline.rewrite import skip_all_but
from pipeline.spec import JobSpec

_SPARE = 4
"""Rows drawn for each that is wanted: some of them have no answer."""


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """How many rows to run again, and which."""

    rows: int
    seed: int
    inputs: str | None
    """Folder in which the inputs lie now; None: where they were."""


def rerun(folder: Folder, tally: Tally, model: JobModel, wanted: Rerun) -> None:
    """Random rows that are run again from their inputs have the same answers and depths."""
    tally.note(f"rows drawn with seed {wanted.seed}")
    answers, ties = SecondAnswer(model), 0
    decode = DecodeRows.of_job(_spec(folder, model), model.facts, model.generation)
    for where, row in _drawn(folder, wanted):
        try:
            table = decode(_raw(folder, row, wanted.inputs))
        except (PlanError, OSError) as error:
            # It was asked for, so that it cannot be done is no pass.
            tally.missing(where, "its input; --inputs FOLDER says where inputs are now", error)
            return
        except LookupError as error:
            tally.mismatch(where, "its row in the input", error)
            continue
        tally.look()
        [asked] = [found.asked for found in query_rows(table, decode.image_size) if found.columns["uid"] == row["uid"]]
        digest = table["image_sha256"][0].as_py()
        if digest != row["image_sha256"]:
            tally.mismatch(f"{where}: image_sha256", digest, row["image_sha256"])
        elif asked is None:
            tally.mismatch(where, "a row that can be asked about", table["error_message"][0].as_py())
        else:
            said = answers.against(asked, row)
            if said.outcome == "mismatch":
                tally.mismatch(where, said.expected, said.found)
            elif said.outcome == "near tie":
                ties += 1
                tally.note(f"{where}: near tie, {said.why}")
    tally.note(f"{tally.examined} rows run again: {ties} near ties, the others exact unless named above")


def _drawn(folder: Folder, wanted: Rerun) -> Iterator[tuple[str, dict[str, Any]]]:
    """Draw rows that are `ok`, each equally likely; only the parts that hold one are opened."""
    assert folder.manifest is not None
    total = sum(part.rows for part in folder.manifest.parts)
    places = random.Random(wanted.seed).sample(range(total), min(total, _SPARE * wanted.rows))
    found = 0
    for place in places:
        if found == wanted.rows:
            return
        for part in folder.manifest.parts:
            if place < part.rows:
                break
            place -= part.rows
        try:
            table = folder.ledger.read_file(part.path, ROW_SCHEMA.names)
        except PipelineError:
            continue  # the checks of rows name it
        if place < len(table) and (row := table.slice(place, 1).to_pylist()[0])["status"] == RowStatus.OK:
            found += 1
            yield f"{part.path} {row['uid']}", row


def _raw(folder: Folder, row: dict[str, Any], moved: str | None) -> pa.Table:
    """Read the row's image and what belongs to it; raise `LookupError` if the shard has no such row."""
    assert folder.plan is not None
    uid = parse_uid(row["uid"])
    shard = {shard.shard_id: shard for shard in folder.plan.shards}[uid.shard_id]
    url = located(shard, moved)
    if shard.files is None:
        look_up_shard(url)
    else:
        next(iter_images(url, inputs_config(folder).fields.image_suffixes, run=shard.files), None)
    number = uid.row_in_shard
    for table in raw_tables(inputs_config(folder), shard, url, skip_all_but(((number, number + 1),))):
        for place, found in enumerate(table["row_in_shard"].to_pylist()):
            if found == number:
                return table.slice(place, 1)
    raise LookupError(f"{url} has no row {number}")


def _spec(folder: Folder, model: JobModel) -> JobSpec:
    """Return the settings of the job as far as they say how its rows are decoded."""
    spec = JobSpec.model_validate(folder.attempts[-1]["spec"])
    return spec.model_copy(update={"inputs": inputs_config(folder), "task": model.task, "model": model.facts.name})
