"""Random rows answered again from their inputs by the reference: exact, a near tie with its margin, or a mismatch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs.second_answer import Comparison, SecondAnswer
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
from pipeline.records import ROW_SCHEMA, ErrorStage, RowStatus
from pipeline.rewrite import skip_all_but
from pipeline.spec import JobSpec


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """How many rows to run again, and which."""

    rows: int
    seed: int
    inputs: str | None
    """Folder in which the inputs lie now; None: where they were."""


def rerun(folder: Folder, tally: Tally, model: JobModel, wanted: Rerun) -> None:
    """Random rows that are run again from their inputs have the same answers, depths and failures."""
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
        said = _against(table, row, decode.image_size, answers)
        if said.outcome == "mismatch":
            tally.mismatch(where, said.expected, said.found)
        elif said.outcome == "near tie":
            ties += 1
            tally.note(f"{where}: near tie, {said.why}")
    tally.note(f"{tally.examined} rows run again: {ties} near ties, the others exact unless named above")


def _against(table: pa.Table, row: dict[str, Any], image_size: int, answers: SecondAnswer) -> Comparison:
    """Compare one decoded row with what is committed of it; a row that failed before the model must fail again."""
    if (digest := table["image_sha256"][0].as_py()) != row["image_sha256"]:
        return Comparison(outcome="mismatch", expected=f"image {digest}", found=f"image {row['image_sha256']}")
    asked = [found for found in query_rows(table, image_size) if found.columns["uid"] == row["uid"]]
    if not asked:
        return Comparison(outcome="mismatch", expected="a query of its image", found="one that the input does not hold")
    query = asked[0]
    for name, there in (("key", table["key"][0].as_py()), ("prompt", query.columns["prompt"])):
        if row[name] != there:
            return Comparison(outcome="mismatch", expected=f"{name} {there!r}", found=f"{name} {row[name]!r}")
    if query.asked is not None and row["status"] == RowStatus.OK:
        return answers.against(query.asked, row)
    now = (query.columns["status"], query.columns["error_code"])
    then = (row["status"], row["error_code"])
    at_the_model = query.asked is not None and row["error_stage"] == ErrorStage.INFER
    if now == then or at_the_model:
        return Comparison(outcome="exact")
    return Comparison(outcome="mismatch", expected=" ".join(map(str, now)), found=" ".join(map(str, then)))


def _drawn(folder: Folder, wanted: Rerun) -> Iterator[tuple[str, dict[str, Any]]]:
    """Draw rows, each equally likely, whatever became of them; only the parts that hold one are opened."""
    assert folder.manifest is not None
    total = sum(part.rows for part in folder.manifest.parts)
    for place in random.Random(wanted.seed).sample(range(total), min(total, wanted.rows)):
        for part in folder.manifest.parts:
            if place < part.rows:
                break
            place -= part.rows
        try:
            table = folder.ledger.read_file(part.path, ROW_SCHEMA.names)
        except PipelineError:
            continue  # the checks of rows name it
        if place < len(table):
            row = table.slice(place, 1).to_pylist()[0]
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
