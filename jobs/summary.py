"""What a job's committed rows add up to. Sums are exact at any size; memory is bounded by one part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.audit_findings import agreement, time_saved
from jobs.exact_sum import exact_sum
from jobs.interval import Interval
from jobs.job_folder import PlannedModel, planned_model, run_facts
from pipeline.ledger import Ledger
from pipeline.records import REUSED, RowStatus, ShardState

_FLOPS = (
    "flops_executed",
    "flops_full_same_length",
    "flops_checks",
    "flops_kv_fill",
    "flops_reused",
    *(f"flops_reused_{what}" for what in REUSED),
    "flops_padding",
)
_COLUMNS = ["status", "error_code", "image_layers_run", "text_layers_run", "decoder_layers_run", *_FLOPS]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Facts of the committed rows. Layers and FLOPs are those of rows with status `ok`: only they can save."""

    rows: int
    rows_by_status: dict[str, int]
    errors_by_code: dict[str, int]
    shards_total: int
    shards_done: int
    """Shards whose every row is committed, corrupt ones included."""
    shards_bad: int
    bad_shards_by_code: dict[str, int]
    mean_image_layers: float | None
    mean_text_layers: float | None
    mean_decoder_layers: float | None
    """Mean over all decoding steps."""
    decoder_steps: int
    encoder_layers: int | None
    """Layers that the model has."""
    decoder_layers: int | None
    flops_executed: int
    """As if every row ran alone; similarity checks are not in it."""
    flops_full_same_length: int
    """The same rows and lengths at full depth."""
    flops_checks: int
    """Similarity checks: overhead of early exit."""
    flops_kv_fill: int
    """Of `flops_executed`: keys and values of skipped decoder layers."""
    flops_reused: int
    """Not executed because another row's result was shared. Not a saving of early exit. The sum of the next four."""
    flops_reused_tables: int
    flops_reused_text: int
    flops_reused_image: int
    flops_reused_cross_kv: int
    flops_padding: int
    """Executed in a row's place without need. Not a cost of the row."""
    flops_of_other_rows: int
    """Executed for rows that failed or were filtered: never a saving."""
    agreement: Interval | None
    """Estimated share of rows to which full depth gives the same answer; None without shadow rows."""
    time_saved: Interval | None
    """Measured against full depth in timing windows; None with fewer than two."""
    rows_per_s: float | None
    """Measured by the last run, model load and start included; None where it left no measurement."""
    wall_s: float | None
    model: str
    model_untrained: bool
    model_caveat: str | None
    """What a reader of its texts must know."""

    @property
    def saved_share(self) -> float | None:
        """Share of full-depth FLOPs at the same length that was not executed; checks are not deducted."""
        return _share_saved(self.flops_executed, self.flops_full_same_length)

    @property
    def net_saved_share(self) -> float | None:
        """The same with the similarity checks counted as executed."""
        return _share_saved(self.flops_executed + self.flops_checks, self.flops_full_same_length)

    @property
    def paper_layer_metric(self) -> float | None:
        """Layers not run, as the MuE paper (arXiv 2211.11152) counts them; neither FLOPs nor time.

        1 - ((p + q) / 2 + mean_t n_t) / (N_E + N_D) of the mean depths p, q, n_t.
        """
        image, text, decoder = self.mean_image_layers, self.mean_text_layers, self.mean_decoder_layers
        if image is None or decoder is None or not self.encoder_layers or not self.decoder_layers:
            return None
        encoder = (image + (image if text is None else text)) / 2
        return 1 - (encoder + decoder) / (self.encoder_layers + self.decoder_layers)


def summarise(ledger: Ledger) -> Summary:
    """Return the summary of what is committed now; works for running and for finished jobs."""
    plan = ledger.plan()
    totals = _Totals()
    for table in ledger.read_live(_COLUMNS):
        totals.add(table)
    progress = ledger.progress()
    outcomes = [shard.outcome for shard in progress.shards.values() if shard.outcome is not None]
    bad = [outcome for outcome in outcomes if outcome.state is ShardState.BAD]
    model: PlannedModel = planned_model(plan)
    run = run_facts(ledger)
    return Summary(
        rows=sum(totals.status.values()),
        rows_by_status={status.value: totals.status[status.value] for status in RowStatus},
        errors_by_code=dict(totals.codes.most_common()),
        shards_total=len(plan.shards),
        shards_done=len(plan.shards) - len(progress.unfinished(plan)),
        shards_bad=len(bad),
        bad_shards_by_code=dict(Counter(str(outcome.code or "unknown") for outcome in bad).most_common()),
        mean_image_layers=_mean(totals.image_layers, totals.image_rows),
        mean_text_layers=_mean(totals.text_layers, totals.text_rows),
        mean_decoder_layers=_mean(totals.decoder_layers, totals.decoder_steps),
        decoder_steps=totals.decoder_steps,
        encoder_layers=model.encoder_layers,
        decoder_layers=model.decoder_layers,
        **{name: totals.flops[name] for name in _FLOPS},
        flops_of_other_rows=totals.flops_of_other_rows,
        agreement=agreement(ledger),
        time_saved=time_saved(ledger),
        rows_per_s=_number(run.get("rows_per_s")),
        wall_s=_number(run.get("wall_s")),
        model=model.name,
        model_untrained=model.untrained,
        model_caveat=model.caveat,
    )


@dataclass
class _Totals:
    """Running sums in Python integers: at 182 GFLOP a row, int64 wraps at 51 million rows and says nothing."""

    status: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    flops: Counter[str] = field(default_factory=Counter)
    flops_of_other_rows: int = 0
    image_layers: int = 0
    image_rows: int = 0
    text_layers: int = 0
    text_rows: int = 0
    decoder_layers: int = 0
    decoder_steps: int = 0

    def add(self, table: pa.Table) -> None:
        """Count the rows of one part."""
        self.status.update(_counts(table["status"]))
        self.codes.update(_counts(table["error_code"].drop_null()))
        is_ok = pc.equal(table["status"], RowStatus.OK.value)
        ok = table.filter(is_ok)
        self.flops_of_other_rows += exact_sum(table.filter(pc.invert(is_ok))["flops_executed"])
        for name in _FLOPS:
            self.flops[name] += exact_sum(ok[name])
        self.image_layers += exact_sum(ok["image_layers_run"])
        self.image_rows += len(ok) - ok["image_layers_run"].null_count
        self.text_layers += exact_sum(ok["text_layers_run"])
        self.text_rows += len(ok) - ok["text_layers_run"].null_count
        steps = pc.list_flatten(ok["decoder_layers_run"])
        self.decoder_layers += exact_sum(steps)
        self.decoder_steps += len(steps) - steps.null_count


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(column)}


def _mean(total: int, count: int) -> float | None:
    return total / count if count else None


def _share_saved(executed: int, full: int) -> float | None:
    return 1 - executed / full if full else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
