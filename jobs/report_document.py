"""Everything a report says, as plain values: `report.json`, and the one source of the page and of the Markdown."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jobs.footprint import footprint
from jobs.footprint_factors import FootprintFactors
from jobs.gpu_energy import gpu_energy
from jobs.headline import headline
from jobs.job_folder import planned_model, planned_task, row_total, run_facts
from jobs.measured_time import measured_time
from jobs.report_failures import failure_codes
from jobs.report_gallery import Shown
from jobs.report_verdict import verdict
from jobs.savings import Savings
from pipeline.canonical_json import digest_of
from pipeline.ledger import MANIFEST, Ledger
from pipeline.plan import Plan
from pipeline.records import ShardState

if TYPE_CHECKING:
    from jobs.verify import Verification

SCHEMA_VERSION = 1
_ATTEMPT = (
    "attempt",
    "began",
    "exit_code",
    "wall_s",
    "rows",
    "rows_per_s",
    "cores",
    "memory_gib",
    "platform",
    "python",
)


def report_document(
    ledger: Ledger,
    found: Savings,
    verification: Verification | None,
    shown: Sequence[Shown],
    factors: FootprintFactors,
    *,
    made: datetime.datetime,
) -> dict[str, Any]:
    """Return the report of a job, finished or not.

    Args:
        ledger: Of its folder.
        found: Its savings.
        verification: What tests of the folder found; None: not tested yet.
        shown: Rows of the gallery.
        factors: What is stated for energy, cost and carbon.
        made: When.
    """
    plan = ledger.plan()
    manifest = ledger.storage.read(MANIFEST) if ledger.storage.exists(MANIFEST) else None
    finished = ledger.finalized(plan)
    run = run_facts(ledger)
    model = planned_model(plan)
    document = {
        "schema_version": SCHEMA_VERSION,
        "output": ledger.storage.url,
        "made": made.isoformat(timespec="seconds"),
        "mue": importlib.metadata.version("mue"),
        "task": planned_task(plan),
        "finished": finished,
        "verdict": asdict(verdict(found, finished=finished, caveat=model.caveat)),
        "headline": headline(found),
        "verification": None if verification is None else verification.document(),
        "rows": _rows(ledger, plan, found),
        "savings": found.document(),
        "failures": [asdict(code) for code in failure_codes(ledger)],
        "footprint": footprint(
            measured_time(run),
            gpu_energy(ledger.storage, processes_unknown=found.seconds.processes_unknown),
            factors,
            ok_rows=found.total.rows_ok,
        ).document(),
        "gallery": [_row(entry) for entry in shown],
        "attempts": [
            {name: attempt.get(name) for name in _ATTEMPT} | {"packages": attempt.get("packages") or {}}
            for attempt in run.get("attempts") or []
        ],
        "provenance": {
            "model": model.name,
            "model_digest": (plan.fingerprint_parts.get("model") or {}).get("digest"),
            "fingerprint": plan.fingerprint,
            "manifest_sha256": None if manifest is None else digest_of(manifest),
            **{name: plan.fingerprint_parts.get(name) for name in _SETTINGS},
            "audit_seed": plan.audit_seed,
            "audit_rates": plan.audit_rates,
            "audit_margin": plan.audit_margin,
            "audit_windows": plan.audit_windows,
        },
    }
    return {name: _finite(value) for name, value in document.items()}


def _finite(value: Any) -> Any:
    """The same with null for infinity, which JSON does not have: a bound that is none."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_SETTINGS = ("inputs", "exits", "generation", "prompt", "image_size", "dtype", "results_version")


def _rows(ledger: Ledger, plan: Plan, found: Savings) -> dict[str, Any]:
    """What became of the input: every row in exactly one count."""
    progress = ledger.progress()
    total = row_total(plan, progress)
    outcomes = [shard.outcome for shard in progress.shards.values() if shard.outcome is not None]
    return {
        "ok": found.total.rows_ok,
        "failed": found.total.rows_failed,
        "filtered": found.total.rows_filtered,
        "committed": found.total.rows_ok + found.total.rows_failed + found.total.rows_filtered,
        "expected": total.rows,
        "expected_is_estimated": total.estimated,
        "images": progress.images_committed,
        "shards": len(plan.shards),
        "shards_done": len(plan.shards) - len(progress.unfinished(plan)),
        "shards_bad": sum(outcome.state is ShardState.BAD for outcome in outcomes),
        "overlaps": len(ledger.overlaps()),
    }


def _row(entry: Shown) -> dict[str, Any]:
    row = entry.row
    return {
        "group": entry.group,
        "uid": row["uid"],
        "key": row["key"],
        "prompt": row["prompt"],
        "answer": entry.answer,
        "text": row["text"],
        "full_depth": entry.full_depth,
        "difference": entry.difference,
        "image_layers_run": row["image_layers_run"],
        "text_layers_run": row["text_layers_run"],
        "decoder_layers_run": row["decoder_layers_run"] or [],
    }
