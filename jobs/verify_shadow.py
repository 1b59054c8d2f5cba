"""Shadow rows are those that seed, rates and uids select, and what they say follows from what they hold."""

from __future__ import annotations

from collections import Counter
from typing import Any

from jobs.interval import NotMeasured
from jobs.metrics_lines import process_lines
from jobs.shadow_estimate import ShadowEstimate
from jobs.timing_windows import TimingWindows
from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from jobs.verify_row_cost import RowCosts
from pipeline.actor_audit import shadow_selection

LENGTH_TOLERANCE = 0.1
"""Of the mean length at full depth."""
_NAMED = 5


class ShadowChecks:
    """Sees every `ok` row once, and then what the run recorded of its processes."""

    def __init__(self, folder: Folder, costs: RowCosts | None) -> None:
        """Take the rule of the plan; raise `ValueError` where it holds none."""
        assert folder.plan is not None
        self._folder, self._costs = folder, costs
        self._selection = shadow_selection(folder.plan)
        self.rows = Tally(
            "shadow", "the rows run again at full depth are those that the plan selects; agreement is true"
        )
        self.found = 0
        """Rows with a shadow."""
        self._lost: dict[tuple[str, str | None], list[str]] = {}

    @property
    def planned(self) -> bool:
        """Whether the plan has rows shadowed."""
        return self._selection.any

    def row(self, where: str, row: dict[str, Any]) -> None:
        """Look at one row that is `ok`."""
        self.rows.look()
        shadow = row["shadow"]
        try:
            stratum = self._selection.stratum(
                row["image_layers_run"], row["text_layers_run"], row["decoder_layers_run"]
            )
        except TypeError:
            self.rows.mismatch(f"{where}: layers run", "numbers", "nothing")
            return
        selected = self._selection.selects(row["uid"], stratum)
        if selected and shadow is None:
            self._lost.setdefault((row["attempt_id"], row["actor"]), []).append(where)
        elif shadow is not None and not selected:
            self.rows.mismatch(f"{where}: shadow", f"none: seed, rates and uid do not select it ({stratum})", "one")
        if shadow is not None:
            self.found += 1
            self._result(where, row, shadow)

    def finish(self) -> None:
        """Hold the rows that lack a result against what the processes recorded to have lost."""
        recorded: Counter[tuple[str, str | None]] = Counter()
        for lines in process_lines(self._folder.ledger.storage, purpose="run") if self._lost else ():
            recorded[lines.attempt, lines.actor] += int(lines.totals.get("shadow_lost", 0))
        for process, lost in self._lost.items():
            if len(lost) > recorded[process]:
                for where in lost[:_NAMED]:
                    expected = f"a result at full depth: seed {self._selection.seed}, rates and uid select the row"
                    self.rows.mismatch(f"{where}: shadow", expected, "none")
                self.rows.note(
                    f"{len(lost):,} selected rows lack a result; their process recorded {recorded[process]:,}"
                )
            else:
                self.rows.note(f"{len(lost):,} selected rows have no result, as their process recorded when it ran")

    def _result(self, where: str, row: dict[str, Any], shadow: dict[str, Any]) -> None:
        own = row["text"] if row["label"] is None else row["label"]
        if shadow["agrees"] != (shadow["text"] == own):
            self.rows.mismatch(f"{where}: shadow.agrees", shadow["text"] == own, shadow["agrees"])
        if self._costs is not None:
            for name, expected, found in self._costs.shadow_problem(row, shadow):
                self.rows.mismatch(f"{where}: shadow.{name}", expected, found)


def estimate(found: ShadowEstimate | NotMeasured, tally: Tally) -> None:
    """There is an estimate of agreement with an interval, made of rows that were selected before the run."""
    if isinstance(found, NotMeasured):
        tally.not_checked(found.reason)
        return
    tally.look(found.shadowed)
    agreement = found.agreement
    tally.note(
        f"{found.shadowed:,} of {found.selected:,} selected rows were run at full depth; "
        f"{100 * agreement.estimate:.2f} % agree (95 %: {100 * agreement.low:.2f} to {100 * agreement.high:.2f} %)"
    )
    if found.source == "audit":
        tally.note("the rows were run again after the job, by 'mue audit run'")


def mean_length(found: ShadowEstimate | NotMeasured, tally: Tally) -> None:
    """Texts at full depth are at most 10 % longer or shorter on average than those of the same rows here."""
    if isinstance(found, NotMeasured):
        tally.not_checked(found.reason)
        return
    ratio = found.length_ratio
    tally.look(found.shadowed)
    low, high = 1 - LENGTH_TOLERANCE, 1 / (1 - LENGTH_TOLERANCE)
    said = f"{ratio.estimate:.3f} (95 %: {ratio.low:.3f} to {ratio.high:.3f})"
    if ratio.high < low or ratio.low > high:
        tally.mismatch("length at full depth over length here", f"{low:.3f} to {high:.3f}", said)
    elif not low <= ratio.estimate <= high:
        tally.not_checked(f"the ratio of lengths is {said}: too few rows to tell whether it is within 10 %")
    else:
        tally.note(f"length at full depth over length here: {said}")


def windows(found: TimingWindows | NotMeasured, tally: Tally) -> None:
    """Time saved was measured in windows of the same run, with and without exits, and has an interval."""
    if isinstance(found, NotMeasured):
        tally.not_checked(found.reason)
        return
    if found.source != "run":
        tally.not_checked("the windows are of 'mue audit run', not of the run itself")
    elif found.saved_share is None:
        tally.not_checked("a single window has no interval, and a process that ends early leaves some out")
    tally.look(len(found.windows))
    for window in found.windows:
        if window.rows < 4 * window.rows_in_flight:
            where = f"window {window.number} of {window.actor}"
            tally.mismatch(where, f"at least {4 * window.rows_in_flight} rows, four times those in flight", window.rows)
