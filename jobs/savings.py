"""What a job saved against full depth: three numbers, never one, with every overhead on a line of its own.

(a) the census of same-length FLOPs, (b) the counterfactual from shadow rows, (c) the measured time. Beside them, under
its own name, the paper's count of layers. A number that was not measured says so and why; it is never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobs.discarded import Discarded, discarded
from jobs.interval import NotMeasured
from jobs.job_folder import planned_model
from jobs.overhead_seconds import OverheadSeconds, overhead_seconds
from jobs.savings_census import COLUMNS, TaskCensus, census, share
from jobs.shadow_estimate import ShadowEstimate, shadow_estimate
from jobs.timing_windows import TimingWindows, timing_windows
from pipeline.ledger import Ledger
from pipeline.plan import Plan

BASELINE = "same weights, same decoding, same hardware, every row at full depth"


@dataclass(frozen=True, kw_only=True)
class Savings:
    """All savings of a job and what they cost, from its committed rows and what its run measured."""

    baseline: str
    tasks: tuple[TaskCensus, ...]
    total: TaskCensus
    discarded: Discarded
    """Work on rows that were computed once more than they are counted."""
    seconds: OverheadSeconds
    """Overhead that only the run could measure."""
    encoder_layers: int | None
    """Layers that the model has."""
    decoder_layers: int | None
    counterfactual: ShadowEstimate | NotMeasured
    """(b) Savings against full depth at its own length, with an interval."""
    time: TimingWindows | NotMeasured
    """(c) Measured time saved, with an interval."""

    @property
    def flops_overhead(self) -> int:
        """FLOPs on top of what the counted rows needed alone; each is a line of `overheads`."""
        return sum(self.flops_overheads.values())

    @property
    def flops_overheads(self) -> dict[str, int]:
        """The overheads that are counted in FLOPs, by name."""
        return {
            "checks": self.total.flops_checks,
            "padding": self.total.flops_padding,
            "shadow": self.total.flops_shadow,
            "rows_without_a_result": self.total.flops_of_other_rows,
            "discarded": self.discarded.flops,
        }

    @property
    def flops_net(self) -> int:
        """Baseline - executed - overheads. What sharing spared is no part of it."""
        return self.total.flops_saved_by_early_exit - self.flops_overhead

    @property
    def paper_layer_metric(self) -> float | None:
        """Layers not run, as the MuE paper (arXiv 2211.11152) counts them; neither FLOPs nor time.

        1 - ((p + q) / 2 + mean_t n_t) / (N_E + N_D) of the mean depths p, q, n_t; a joint stream counts as both.
        """
        image, text = _mean(self.total.image_by_depth), _mean(self.total.text_by_depth)
        tokens = sum(step.tokens for step in self.total.steps)
        decoder = share(sum(step.layers_run for step in self.total.steps), tokens)
        if image is None or decoder is None or not self.encoder_layers or not self.decoder_layers:
            return None
        encoder = (image + (image if text is None else text)) / 2
        return 1 - (encoder + decoder) / (self.encoder_layers + self.decoder_layers)

    def document(self) -> dict[str, Any]:
        """Return everything ready for JSON: integers exact, what was not measured null."""
        total = self.total
        return {
            "baseline": self.baseline,
            "a_same_length_flops": {
                "what": "exact census of the committed rows; no interval",
                "baseline": total.flops_full_same_length,
                "executed": total.flops_executed,
                "of_executed_kv_fill": total.flops_kv_fill,
                "saved_by_early_exit": total.flops_saved_by_early_exit,
                "share_saved_by_early_exit": share(total.flops_saved_by_early_exit, total.flops_full_same_length),
                "overheads": self.flops_overheads,
                "net": self.flops_net,
                "share_net": share(self.flops_net, total.flops_full_same_length),
            },
            "b_counterfactual": self.counterfactual.document(),
            "c_time": self.time.document(),
            "reused": {
                "what": "not executed because another row's result was shared; no saving of early exit",
                "flops": total.flops_reused,
                "tables": total.flops_reused_tables,
                "text": total.flops_reused_text,
                "image": total.flops_reused_image,
                "cross_kv": total.flops_reused_cross_kv,
            },
            "counted_on_the_machine": total.flops_executed - total.flops_reused + total.flops_padding,
            "overhead_seconds": self.seconds.document(),
            "discarded": self.discarded.document(),
            "attempts_failed": total.attempts_failed,
            "paper_layer_metric": self.paper_layer_metric,
            "encoder_layers": self.encoder_layers,
            "decoder_layers": self.decoder_layers,
            "total": total.document(),
            "tasks": [task.document() for task in self.tasks],
        }


def savings(ledger: Ledger) -> Savings:
    """Return what the job in `ledger`'s folder saved so far. Exact at any size; memory is bounded by one part."""
    plan: Plan = ledger.plan()
    model = planned_model(plan)
    tasks = census(ledger.read_live(COLUMNS))
    return Savings(
        baseline=BASELINE,
        tasks=tasks,
        total=TaskCensus.total(tasks),
        discarded=discarded(ledger),
        seconds=overhead_seconds(ledger),
        encoder_layers=model.encoder_layers,
        decoder_layers=model.decoder_layers,
        counterfactual=shadow_estimate(ledger),
        time=timing_windows(ledger),
    )


def _mean(by_depth: dict[int, int]) -> float | None:
    return share(sum(depth * rows for depth, rows in by_depth.items()), sum(by_depth.values()))
