"""What the captions of a job are worth: metrics against references, health without, layers beside difficulty.

Every committed row is in exactly one count: scored, without references, under an ambiguous key, failed or filtered.
Parts are read one after another; what grows with the job is told in `mue_model.metrics.cider`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluation_rows import COLUMNS, Depths, Group, Tally
from jobs.job_folder import PlannedModel, planned_model
from jobs.references import References
from mue_model.metrics.captions import CaptionScores
from mue_model.metrics.health import HealthReport
from mue_model.metrics.tokenisation import tokenise
from pipeline.canonical_json import digest_of
from pipeline.ledger import MANIFEST, Ledger
from pipeline.receipts import LedgerError
from pipeline.row_field import RowField
from pipeline.shared_meta import with_meta_json

_BATCH = 1024


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything `mue eval` says."""

    output: str
    fingerprint: str
    manifest_sha256: str | None
    """None while the job is not finished."""
    model: PlannedModel
    references: dict[str, Any]
    """Where they came from."""
    references_sha256: str
    """Of the scored uids with their references: equal digests mean that equal rows were held against equal texts."""
    references_scored: int
    tokeniser: str
    rows: dict[str, int]
    """Committed rows by what became of them here; they add up to all committed rows."""
    rows_with_repeated_key: int
    """Rows whose key another image has as well; among them those of `ambiguous_key`."""
    shards_bad: int
    """Shards that could not be read whole: what they lack is in no count."""
    scores: CaptionScores
    health: HealthReport
    depths: Depths
    by: str | None
    groups: list[Group]


def evaluate(
    ledger: Ledger,
    open_references: Callable[[set[str]], References],
    *,
    by: RowField | None = None,
    tokeniser: Callable[[str], list[str]] = tokenise,
) -> Evaluation:
    """Score the committed captions of a job, finished or not.

    Args:
        ledger: The job.
        open_references: Called with the keys that several images have.
        by: Rows are also told apart by the value they have there.
        tokeniser: Makes words of captions and references.

    Raises:
        ConfigError: No row could be scored, or `by` leads nowhere or to too many values.
        LedgerError: Rows are committed twice at the moment.
    """
    refuse_overlaps(ledger)
    repeated_keys, n_repeated = _repeated_keys(ledger)
    tally = Tally(open_references(repeated_keys), by, tokeniser)
    for part in ledger.read_live(COLUMNS):
        for batch in with_meta_json(part).to_batches(max_chunksize=_BATCH):
            for row in batch.to_pylist():
                tally.add(row)
    scores, health = tally.results(ledger.storage.url)
    plan = ledger.plan()
    return Evaluation(
        output=ledger.storage.url,
        fingerprint=plan.fingerprint,
        manifest_sha256=digest_of(ledger.storage.read(MANIFEST)) if ledger.storage.exists(MANIFEST) else None,
        model=planned_model(plan),
        references=tally.references.facts(),
        references_sha256=hashlib.sha256(b"".join(sorted(tally.digests))).hexdigest(),
        references_scored=tally.n_references,
        tokeniser=tokeniser.__name__,
        rows=dict(tally.rows),
        rows_with_repeated_key=n_repeated,
        shards_bad=len(ledger.failure_entries()),
        scores=scores,
        health=health,
        depths=tally.depths,
        by=by.text if by else None,
        groups=tally.groups(),
    )


def refuse_overlaps(ledger: Ledger) -> None:
    """Raise `LedgerError` while rows are committed twice: they would be given or scored twice."""
    if ledger.overlaps():
        raise LedgerError(
            f"{ledger.storage.url}: some rows are committed twice, which the end of the job puts right; "
            "let it end, or resume it with the same 'mue run' command"
        )


def _repeated_keys(ledger: Ledger) -> tuple[set[str], int]:
    """Keys of several images, and how many images have one. The queries of one image share its key rightly."""
    columns = [table.filter(pc.equal(table["query"], 0))["key"] for table in ledger.read_live(["key", "query"])]
    counts = pc.value_counts(pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string()))
    repeated = {
        entry["values"].as_py(): entry["counts"].as_py()
        for entry in counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1))
    }
    repeated.pop(None, None)
    return set(repeated), sum(repeated.values())
