"""Random rows answered again from their inputs by the reference: exact, a near tie with its margin, or a mismatch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs.input_shards import inputs_config, located, raw_tables, run_now
from jobs.rerun_rows import DrawnRow, drawn_rows
from jobs.second_answer import Comparison, SecondAnswer
from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from jobs.verify_model import JobModel
from pipeline.fan_out import QueryRow, query_rows
from pipeline.identity import parse_uid
from pipeline.plan import PlanError, look_up_shard
from pipeline.preprocess import DecodeRows
from pipeline.records import ErrorCode, ErrorStage, RowStatus
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
    """Random rows that are run again from their inputs have the same answers, depths, failures and shadows."""
    tally.note(f"rows drawn with seed {wanted.seed}, as many again of those that have a shadow")
    answers, outcomes, shadows = SecondAnswer(model), Counter[str](), 0
    decode = DecodeRows.of_job(_spec(folder, model), model.facts, model.generation)
    for drawn in drawn_rows(folder, rows=wanted.rows, seed=wanted.seed):
        try:
            table = decode(_raw(folder, drawn.row, wanted.inputs))
        except (PlanError, OSError) as error:
            # It was asked for, so that it cannot be done is no pass.
            tally.missing(drawn.where, "its input; --inputs FOLDER says where inputs are now", error)
            return
        except LookupError as error:
            tally.mismatch(drawn.where, "its row in the input", error)
            continue
        tally.look()
        for where, said in _against(table, drawn, decode.image_size, answers):
            shadows += where in drawn.shadows
            outcomes[said.outcome] += 1
            if said.outcome == "mismatch":
                tally.mismatch(where, said.expected, said.found)
            elif said.outcome == "not reproduced":
                # An honest machine may have lacked memory, or have been killed: it is no mismatch, and no pass.
                tally.not_checked(f"{where}: {drawn.row['error_code']} is not reproduced: {said.why}")
            elif said.outcome == "near tie":
                tally.note(f"{where}: near tie, {said.why}")
    tally.note(
        f"{tally.examined} rows run again, and {shadows} shadows at full depth: {outcomes['near tie']} near ties, "
        f"{outcomes['not reproduced']} failures not reproduced, the others exact unless named above"
    )


def _against(
    table: pa.Table, drawn: DrawnRow, image_size: int, answers: SecondAnswer
) -> Iterator[tuple[str, Comparison]]:
    """Compare one decoded row, then its shadows, with what is on record; a row that failed must fail again."""
    row = drawn.row
    query = _query(table, row, image_size)
    if isinstance(query, Comparison):
        yield drawn.where, query
    elif query.asked is not None and row["status"] == RowStatus.OK:
        yield drawn.where, answers.against(query.asked, row)
        for where, shadow in drawn.shadows.items():
            yield where, answers.shadow_against(query.asked, shadow)
    else:
        yield drawn.where, _failed_again(query, row, answers)


def _query(table: pa.Table, row: dict[str, Any], image_size: int) -> QueryRow | Comparison:
    """Return what is asked by the input, or how it differs from what the row says was asked."""
    if (digest := table["image_sha256"][0].as_py()) != row["image_sha256"]:
        return Comparison(outcome="mismatch", expected=f"image {digest}", found=f"image {row['image_sha256']}")
    asked = [found for found in query_rows(table, image_size) if found.columns["uid"] == row["uid"]]
    if not asked:
        return Comparison(outcome="mismatch", expected="a query of its image", found="one that the input does not hold")
    for name, there in (("key", table["key"][0].as_py()), ("prompt", asked[0].columns["prompt"])):
        if row[name] != there:
            return Comparison(outcome="mismatch", expected=f"{name} {there!r}", found=f"{name} {row[name]!r}")
    return asked[0]


def _failed_again(query: QueryRow, row: dict[str, Any], answers: SecondAnswer) -> Comparison:
    now = (query.columns["status"], query.columns["error_code"])
    then = (row["status"], row["error_code"])
    if now == then:
        return Comparison(outcome="exact")
    if query.asked is not None and row["error_code"] == ErrorCode.POISON:
        return Comparison(outcome="not reproduced", why="poison, which might end this process too, is not run again")
    if query.asked is not None and row["error_stage"] == ErrorStage.INFER:
        answer = answers.answered(query.asked)
        return Comparison(outcome="exact") if answer is None else Comparison(outcome="not reproduced", why=answer)
    return Comparison(outcome="mismatch", expected=" ".join(map(str, now)), found=" ".join(map(str, then)))


def _raw(folder: Folder, row: dict[str, Any], moved: str | None) -> pa.Table:
    """Read the row's image and what belongs to it; raise `LookupError` if the shard has no such row."""
    assert folder.plan is not None
    uid = parse_uid(row["uid"])
    shard = {shard.shard_id: shard for shard in folder.plan.shards}[uid.shard_id]
    url = located(shard, moved)
    if shard.files is None:
        look_up_shard(url)
    else:
        shard = shard.model_copy(update={"files": run_now(inputs_config(folder), shard.files, url)[0]})
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
