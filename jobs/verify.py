"""`mue verify`: every test of an output folder that a third party needs; what is not shown is not taken for true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jobs import verify_files, verify_plan, verify_shadow
from jobs.evidence import Evidence, evidence_of
from jobs.savings import Savings
from jobs.shadow_estimate import shadow_estimate
from jobs.verify_audits import audits
from jobs.verify_check import Check, Tally, guarded
from jobs.verify_folder import Folder, read_folder
from jobs.verify_headline import headline_agrees
from jobs.verify_inputs import InputsAtHand, inputs
from jobs.verify_model import JobModel, NoModel, job_model
from jobs.verify_report import is_reported, report_agrees
from jobs.verify_rerun import Rerun, rerun
from jobs.verify_row_cost import RowCosts
from jobs.verify_rows import RowChecks
from jobs.verify_shadow import ShadowChecks
from jobs.verify_windows import windows
from mue_model.config import ConfigError
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class VerifySettings:
    """What a verification may use beside the output folder."""

    model: str | None = None
    """Name or folder of the model; None: where the run had it, or the one that ships."""
    inputs: str | None = None
    """Folder in which the inputs lie now; None: where they were."""
    rerun: int = 0
    """Random rows to answer again from their inputs; also shards to read, of those that only reading can count."""
    seed: int = 0
    """Which those are."""
    report_is_begun: bool = False
    """The report is being written: it has no tests and no pages yet, or those of the one before."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The outcome of all tests."""

    output: str
    checks: tuple[Check, ...]
    evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "evidence", evidence_of(self.checks))

    @property
    def exit_code(self) -> ExitCode:
        """0 where nothing disagrees and nothing that is needed is missing; else 4, or 5."""
        verdicts = {check.verdict for check in self.checks}
        if "mismatch" in verdicts:
            return ExitCode.MISMATCH
        return ExitCode.EVIDENCE_MISSING if "missing" in verdicts else ExitCode.OK

    def document(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "output": self.output,
            "verdict": {ExitCode.OK: "pass", ExitCode.MISMATCH: "mismatch"}.get(self.exit_code, "evidence missing"),
            "exit_code": int(self.exit_code),
            "evidence": self.evidence.document(),
            "checks": [check.document() for check in self.checks],
        }


def verify(
    ledger: Ledger,
    settings: VerifySettings | None = None,
    *,
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> Verification:
    """Test the output folder of `ledger`; memory is bounded by one part.

    Args:
        ledger: Of the folder.
        settings: What is at hand beside it.
        on_rows: Is told how many rows were looked at, and of how many.
    """
    settings = settings or VerifySettings()
    folder = read_folder(ledger)
    checks = [_check("documents", verify_files.documents, folder)]
    if folder.plan is not None and folder.manifest is not None:
        checks += _files(folder)
        found: list[Savings] = []
        checks.append(_check("headline", partial(headline_agrees, keep=found.append), folder))
        checks += _rows(folder, settings, on_rows)
        checks += _audit(folder)
        at_hand = InputsAtHand(moved=settings.inputs, read=settings.rerun, seed=settings.seed)
        checks.append(_check("inputs", partial(inputs, at_hand=at_hand), folder))
        if settings.rerun:
            checks.append(_rerun(folder, settings))
        if found and is_reported(folder):
            # The last one: it is about the outcome of the others too.
            tests = partial(_tests, settings=settings)
            written = not settings.report_is_begun
            agrees = partial(report_agrees, found=found[0], checks=tuple(checks), tests=tests, is_written=written)
            checks.append(_check("report", agrees, folder))
    return Verification(output=ledger.storage.url, checks=tuple(checks))


def _tests(ledger: Ledger, settings: VerifySettings) -> list[Check]:
    """Test another state of the folder, as far as that is about the folder alone."""
    folder = read_folder(ledger)
    checks = [_check("documents", verify_files.documents, folder)]
    if folder.plan is not None and folder.manifest is not None:
        checks += [*_files(folder), *_rows(folder, settings, lambda done, total: None), *_audit(folder)]
    return checks


def _check(name: str, test: Callable[..., None], of: Any) -> Check:
    function = test.func if isinstance(test, partial) else test
    claim = (function.__doc__ or "").split("\n")[0]
    return guarded(Tally(name, claim.removesuffix(".")), lambda tally: test(of, tally))


def _files(folder: Folder) -> list[Check]:
    return [
        _check("digests", verify_files.digests, folder),
        _check("no_extra_files", verify_files.no_extra_files, folder),
        _check("receipts", verify_files.receipts, folder),
        _check("tiling", verify_files.tiling, folder),
        _check("fingerprint", verify_plan.fingerprint, folder),
        _check("settings", verify_plan.settings, folder),
        _check("environment", verify_plan.environment, folder),
    ]


def _rows(folder: Folder, settings: VerifySettings, on_rows: Callable[[int, int], None]) -> list[Check]:
    """One pass over all rows for all checks of single rows."""
    assert folder.manifest is not None
    total, done = folder.manifest.rows, 0
    problem: NoModel | ConfigError | None = None
    costs: RowCosts | None = None
    try:
        costs = RowCosts(job_model(folder, settings.model))
    except (NoModel, ConfigError) as error:
        problem = error
    shadows, unread = _shadows(folder, costs)
    rows = RowChecks(folder, costs, shadows)

    def looked_at(count: int) -> None:
        nonlocal done
        done += count
        on_rows(done, total)

    rows.run(folder.manifest.parts, looked_at)
    tallies = list(rows.tallies)
    if problem is not None:
        for tally in (rows.depths, rows.texts, rows.costs):
            lacks = tally.missing if isinstance(problem, NoModel) else tally.mismatch
            lacks("plan.json: model", "the model that the job was planned with", problem)
            tallies.append(tally)
    found = [tally.check() for tally in tallies] + unread
    for shadow in shadows:
        if shadow.planned or shadow.found:
            found.append(guarded(shadow.rows, partial(_finish, shadow)))
    return found


def _finish(shadow: ShadowChecks, tally: Tally) -> None:
    shadow.finish()


def _shadows(folder: Folder, costs: RowCosts | None) -> tuple[list[ShadowChecks], list[Check]]:
    """The checks of shadow rows, and what is to be said of the audits behind them."""
    found: list[ShadowChecks] = []

    def look(folder: Folder, tally: Tally) -> None:
        for source in (verify_shadow.of_run(folder), verify_shadow.of_audit(folder)):
            if source is not None:
                found.append(ShadowChecks(source, costs))
        tally.look()
        audits(folder, tally)

    look.__doc__ = audits.__doc__
    check = _check("audit_records", look, folder)
    return found, [check] if check.examined > 1 or check.verdict != "pass" else []


def _audit(folder: Folder) -> list[Check]:
    """What the audit of the run showed; the numbers are made once."""
    estimated: list[Any] = []

    def estimate(ledger: Ledger, tally: Tally) -> None:
        estimated.append(shadow_estimate(ledger))
        verify_shadow.estimate(estimated[0], tally)

    estimate.__doc__ = verify_shadow.estimate.__doc__
    found = [_check("shadow_estimate", estimate, folder.ledger)]
    if estimated:
        found.append(_check("mean_length", verify_shadow.mean_length, estimated[0]))
    return [*found, _check("windows", windows, folder)]


def _rerun(folder: Folder, settings: VerifySettings) -> Check:
    def again(folder: Folder, tally: Tally) -> None:
        try:
            model: JobModel = job_model(folder, settings.model)
        except NoModel as error:
            tally.missing("plan.json: model", "the model that the job was planned with", error)
            return
        rerun(folder, tally, model, Rerun(rows=settings.rerun, seed=settings.seed, inputs=settings.inputs))

    again.__doc__ = rerun.__doc__
    return _check("rerun", again, folder)
