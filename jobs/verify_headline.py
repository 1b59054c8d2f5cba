"""The headline is the same from the census, from plain SQL over the manifest's parts, and in the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.headline import headline
from jobs.recompute_sql import recompute_sql, recomputed
from jobs.savings import Savings, savings
from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from pipeline.canonical_json import digest_of
from pipeline.ledger import MANIFEST
from pipeline.receipts import LedgerError
from pipeline.storage import FileAbsent

REPORT = "report/report.json"


def headline_agrees(folder: Folder, tally: Tally, *, keep: Callable[[Savings], None] = lambda found: None) -> None:
    """SQL over exactly the manifest's parts gives every line of the headline to the last digit.

    `keep` is given the census, for further checks.
    """
    import duckdb

    try:
        found = savings(folder.ledger)
    except LedgerError as error:
        tally.missing("census of the rows", "rows that can be read", error)
        return
    keep(found)
    census = headline(found)
    try:
        lines, tasks = recomputed(folder.ledger.storage, recompute_sql(found), queries=2)
    except duckdb.Error as error:
        tally.missing("recompute.sql", "rows that duckdb can read", " ".join(str(error).split())[:300])
        return
    in_sql = {line["name"]: line["value"] for line in lines}
    _same(tally, "census against recompute.sql", in_sql, census)
    for task, line in zip(found.tasks, tasks, strict=False):
        if task.rows_ok:
            tally.expect(f"task {line['task']}: flops_executed", int(line["flops_executed"]), task.flops_executed)
    said = _reported(folder)
    if said is None:
        tally.note(f"there is no {REPORT} to hold against it")
    elif said.of_now:
        _same(tally, f"{REPORT} against recompute.sql", in_sql, said.headline)
    else:
        tally.note(f"{REPORT} says that it is of an earlier state of this folder; the check 'report' is about that")


def _same(tally: Tally, where: str, in_sql: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    for name in {**in_sql, **said}:
        tally.expect(f"{where}: {name}", in_sql.get(name), said.get(name))


@dataclass(frozen=True)
class _Reported:
    headline: Mapping[str, Any]
    of_now: bool = True
    """Whether it is to be held against the rows as they are."""


def _reported(folder: Folder) -> _Reported | None:
    storage = folder.ledger.storage
    try:
        document = json.loads(storage.read(REPORT))
    except FileAbsent:
        return None
    except ValueError as error:
        return _Reported({"report": f"not JSON: {error}"})
    found = document.get("headline") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        return _Reported({"report": "holds no headline"})
    provenance = document.get("provenance")
    claimed = provenance.get("manifest_sha256") if isinstance(provenance, dict) else None
    return _Reported(found, of_now=claimed == digest_of(storage.read(MANIFEST)))
