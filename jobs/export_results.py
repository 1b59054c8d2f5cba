"""Answers in the JSON that evaluation code reads: COCO's list of results, and what OFA's `evaluate.py` leaves.

An evaluator joins by image or question id, so an id that two rows share is refused, never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import pyarrow.compute as pc

from jobs.gold import Gold
from jobs.job_folder import planned_task
from jobs.repeated_names import name_digest, repeated_names
from mue_model.config import ConfigError
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.receipts import LedgerError
from pipeline.records import RowStatus
from pipeline.row_field import RowField
from pipeline.shared_meta import with_meta_json

ResultsFormat = Literal["coco", "ofa"]
_COLUMNS = ["uid", "key", "query", "status", "text", "label", "meta_json"]
_COCO_NAME = re.compile(r"(?:COCO_\w+?_)?0*(\d{1,18})")
"""`000000391895`, and the name of COCO's files of 2014."""
_NAMES = {
    ("coco", "caption"): ("image_id", "caption"),
    ("coco", "vqa"): ("question_id", "answer"),
    ("ofa", "caption"): ("image_id", "caption"),
    ("ofa", "vqa"): ("question_id", "answer"),
    ("ofa", "entailment"): ("uniq_id", "answer"),
}
_SHOWN = 3


def result_lines(ledger: Ledger, *, format: ResultsFormat, id_from: str | None = None) -> Iterator[str]:
    """Yield one JSON array, an `ok` row a line.

    Ids that are digits are numbers (text in OFA's captions, as OFA has them); `COCO_val2014_000000391895` is 391895.

    Args:
        ledger: The job.
        format: Whose form.
        id_from: `key`, `uid`, or a field of the row as in `json:image_id`; left out: `key` for captions, else `uid`.

    Raises:
        ConfigError: The format has no form for the job's task, or a row has no id there.
        LedgerError: Several rows have the same id; the message names some.
    """
    plan = ledger.plan()
    task = planned_task(plan)
    names = _NAMES.get((format, task))
    if names is None:
        raise ConfigError(f"--format {format} has no form for task '{task}'; use --format jsonl or --format ofa")
    ids = _Ids(
        plan, task, id_from or ("key" if task == "caption" else "uid"), as_text=(format, task) == ("ofa", "caption")
    )
    repeated = repeated_names(json.dumps(ids.of(row)) for row in _ok_rows(ledger, ids.columns))
    if repeated:
        raise LedgerError(_refusal(ledger, ids, repeated))
    return _array(ledger, ids, *names, answer="label" if task == "entailment" else "text")


def _array(ledger: Ledger, ids: _Ids, id_name: str, text_name: str, *, answer: str) -> Iterator[str]:
    before = "[\n"
    for row in _ok_rows(ledger, _COLUMNS):
        yield before + json.dumps({id_name: ids.of(row), text_name: row[answer] or ""}, ensure_ascii=False)
        before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


class _Ids:
    """Where a row's id comes from."""

    def __init__(self, plan: Plan, task: str, id_from: str, *, as_text: bool) -> None:
        self.id_from = id_from
        self._as_text = as_text
        self._gold = None
        if id_from not in ("key", "uid"):
            self._gold = Gold(RowField.parse(id_from, option="--id"), plan.fields.asked(task))
        self.columns = _COLUMNS if self._gold else ["uid", "key", "query", "status"]

    def of(self, row: dict[str, Any]) -> str | int:
        """Return the id of a row."""
        if self._gold is None:
            value = row[self.id_from]
        else:
            found = self._gold.of(json.loads(row["meta_json"] or "{}"), row["query"])
            value = found[0] if len(found) == 1 else None
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ConfigError(f"--id {self.id_from}: row {row['uid']} has no single text or number there; try --id uid")
        number = _COCO_NAME.fullmatch(value) if isinstance(value, str) else None
        if number is not None and not self._as_text:
            return int(number[1])
        return str(value) if self._as_text else value


def _refusal(ledger: Ledger, ids: _Ids, repeated: set[bytes]) -> str:
    """Name a few rows that share an id, and the way out."""
    shared: dict[str, list[str]] = {}
    for row in _ok_rows(ledger, ids.columns):
        name = json.dumps(ids.of(row))
        if name_digest(name) in repeated and (name in shared or len(shared) < _SHOWN):
            shared.setdefault(name, []).append(row["uid"])
    examples = "; ".join(f"{name} is {' and '.join(uids[:_SHOWN])}" for name, uids in shared.items())
    return (
        f"{ledger.storage.url}: {len(repeated):,} ids by --id {ids.id_from} each belong to several rows ({examples}): "
        "an evaluator would take one for another. Use --id uid, or a field that is different for each row, as in "
        "--id json:image_id"
    )


def _ok_rows(ledger: Ledger, columns: list[str]) -> Iterator[dict[str, Any]]:
    for part in ledger.read_live(columns):
        table = with_meta_json(part) if "meta_json" in columns else part
        ok = table.filter(pc.equal(table["status"], RowStatus.OK.value))
        for batch in ok.to_batches(max_chunksize=1024):
            yield from batch.to_pylist()
