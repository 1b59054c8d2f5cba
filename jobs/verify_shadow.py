"""Shadow rows are those that seed, rates and uids select, and what they say follows from what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jobs.audit_record import AuditRecord, audit_records, audited_rows, parts_digest
from jobs.interval import NotMeasured
from jobs.metrics_lines import process_lines
from jobs.shadow_estimate import ShadowEstimate
from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from jobs.verify_row_cost import RowCosts
from pipeline.actor_audit import shadow_selection
from pipeline.shadow_selection import ShadowSelection

LENGTH_TOLERANCE = 0.1
"""Of the mean length at full depth."""
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class ShadowSource:
    """Where results at full depth are, and by which rule their rows were selected."""

    name: str
    claim: str
    selection: ShadowSelection
    results: Mapping[str, Mapping[str, Any]] | None
    """By uid, those of `mue audit run`; None: they are in the rows themselves."""
    lost: Callable[[], Mapping[Hashable, int]]
    """How many selected rows are on record to have no result, by process, or for all together."""
    record: AuditRecord | None = None
    """What `mue audit run` says of them."""
    changed: bool = False
    """Whether parts were written since."""


def of_run(folder: Folder) -> ShadowSource:
    """Return what the plan has done beside the rows; raise `ValueError` where it does not say what its model is."""
    assert folder.plan is not None

    def lost() -> Mapping[Hashable, int]:
        recorded: Counter[Hashable] = Counter()
        for lines in process_lines(folder.ledger.storage, purpose="run"):
            recorded[lines.attempt, lines.actor] += int(lines.totals.get("shadow_lost", 0))
        return recorded

    claim = "the rows run again at full depth are those that the plan selects, and agreement is what it says"
    return ShadowSource(name="shadow", claim=claim, selection=shadow_selection(folder.plan), results=None, lost=lost)


def of_audit(folder: Folder) -> ShadowSource | None:
    """Return the latest `mue audit run` that ran rows again, or None; raise `LedgerError` where it cannot be read."""
    assert folder.plan is not None
    records = [record for record in audit_records(folder.ledger) if record.shadows is not None]
    if not records:
        return None
    record = records[-1]
    return ShadowSource(
        name="shadow_of_audit",
        claim="the rows that 'mue audit run' ran again are those that its rule selects, and agreement is what it says",
        selection=replace(shadow_selection(folder.plan), seed=record.seed, rates=record.rates),
        results=audited_rows(folder.ledger, record),
        lost=lambda: {None: record.rows_selected - record.rows_shadowed},
        record=record,
        changed=record.parts_digest != parts_digest(folder.ledger),
    )


class ShadowChecks:
    """Sees every `ok` row once, and then what is on record of those without a result."""

    def __init__(self, source: ShadowSource, costs: RowCosts | None) -> None:
        self._source, self._costs = source, costs
        self.rows = Tally(source.name, source.claim)
        self.found = 0
        """Rows with a shadow."""
        self._selected = self._retried = 0
        self._lost: dict[Hashable, list[str]] = {}

    @property
    def planned(self) -> bool:
        """Whether any row was to be run again."""
        return self._source.selection.any

    def row(self, where: str, row: Mapping[str, Any]) -> None:
        """Look at one row that is `ok`."""
        self.rows.look()
        selection = self._source.selection
        try:
            stratum = selection.stratum(row["image_layers_run"], row["text_layers_run"], row["decoder_layers_run"])
        except TypeError:
            self.rows.mismatch(f"{where}: layers run", "numbers", "nothing")
            return
        selected = selection.selects(row["uid"], stratum)
        if self._is_later(row):
            self._retried += selected
            return
        shadow = self._shadow(where, row)
        self._selected += selected
        if selected and shadow is None:
            of_rows = self._source.results is None
            self._lost.setdefault((row["attempt_id"], row["actor"]) if of_rows else None, []).append(where)
        elif shadow is not None and not selected:
            self.rows.mismatch(f"{where}: shadow", f"none: seed, rates and uid do not select it ({stratum})", "one")
        if shadow is not None:
            self.found += 1
            self._result(where, row, shadow)

    def finish(self) -> None:
        """Hold the rows that lack a result against what is on record to be lost."""
        self._counts()
        if self._retried:
            self.rows.not_checked(f"{self._retried:,} rows were retried since: run 'mue audit run' again")
        recorded = self._source.lost() if self._lost else {}
        for process, lost in self._lost.items():
            if len(lost) <= (known := recorded.get(process, 0)):
                self.rows.note(f"{len(lost):,} selected rows have no result, as was recorded when they ran")
                continue
            for where in lost[:_NAMED]:
                expected = f"a result at full depth: seed {self._source.selection.seed}, rates and uid select the row"
                self.rows.mismatch(f"{where}: shadow", expected, "none")
            self.rows.note(f"{len(lost):,} selected rows lack a result, {known:,} are on record to have none")

    def _counts(self) -> None:
        """An audit's own counts are those of the rows that its rule selects, and of its file."""
        record, results = self._source.record, self._source.results
        if record is None or results is None:
            return
        if not self._selected <= record.rows_selected <= self._selected + self._retried:
            expected = f"{self._selected:,}, as many as seed {record.seed} and its rates select"
            self.rows.mismatch(f"{record.path}: rows_selected", expected, f"{record.rows_selected:,}")
        if record.rows_shadowed != len(results):
            expected = f"{len(results):,}, as many as are in {record.shadows_path}"
            self.rows.mismatch(f"{record.path}: rows_shadowed", expected, f"{record.rows_shadowed:,}")

    def _is_later(self, row: Mapping[str, Any]) -> bool:
        """Whether an audit cannot have seen a row as it is; names of attempts sort by time."""
        record = self._source.record
        return record is not None and self._source.changed and row["attempt_id"] > record.attempt

    def _shadow(self, where: str, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if self._source.results is None:
            own: Mapping[str, Any] | None = row["shadow"]
            return own
        audited = self._source.results.get(row["uid"])
        if audited is None:
            return None
        answer = row["text"] if row["label"] is None else row["label"]
        if audited["answer"] != answer:
            self.rows.mismatch(f"{where}: answer in audit/", repr(answer), repr(audited["answer"]))
        if audited["image_sha256"] != row["image_sha256"]:
            self.rows.mismatch(f"{where}: image in audit/", row["image_sha256"], audited["image_sha256"])
        found: Mapping[str, Any] | None = audited["shadow"]
        return found

    def _result(self, where: str, row: Mapping[str, Any], shadow: Mapping[str, Any]) -> None:
        own = row["text"] if row["label"] is None else row["label"]
        if shadow["agrees"] != (shadow["text"] == own):
            self.rows.mismatch(f"{where}: shadow.agrees", shadow["text"] == own, shadow["agrees"])
        if self._costs is not None:
            for name, expected, found in self._costs.shadow_problem(row, shadow):
                self.rows.mismatch(f"{where}: shadow.{name}", expected, found)


def estimate(found: ShadowEstimate | NotMeasured, tally: Tally) -> None:
    """There is an estimate of agreement with an interval, of nearly all rows that a keyed hash selects."""
    if isinstance(found, NotMeasured):
        tally.not_checked(found.reason)
        return
    tally.look(found.shadowed)
    agreement = found.agreement
    tally.note(
        f"{found.shadowed:,} of {found.selected:,} selected rows were run at full depth; "
        f"{100 * agreement.estimate:.2f} % agree (95 %: {100 * agreement.low:.2f} to {100 * agreement.high:.2f} %)"
    )
    if found.lost:
        worst = found.agreement_if_lost_disagree
        said = (
            f"{found.lost:,} selected rows have no result: if full depth gave all of them another answer, "
            f"{100 * worst.estimate:.2f} % would agree (95 %: {100 * worst.low:.2f} to {100 * worst.high:.2f} %)"
        )
        if found.loss_is_negligible:
            tally.note(said)
        else:
            tally.not_checked(f"{said}; they are too many for the others to stand for them")
    if found.source == "audit":
        rule = "the rule of the plan" if found.rule_from == "plan" else "seed and rates that were given then"
        tally.note(f"the rows were run again after the job, by 'mue audit run', chosen by {rule}")
    if found.audits > 1:
        tally.note(f"it is the latest of {found.audits} audits, each of which may have chosen other rows")
    if found.margin is not None:
        when = "before the run" if found.margin_from == "plan" else "after the run, with the audit"
        shown = "shown" if found.margin_met else "not shown"
        tally.note(f"fewer than {100 * found.margin:.3g} % differ: {shown} (95 %, one-sided); declared {when}")


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
