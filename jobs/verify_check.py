"""One test of an output folder: what it claims, whether that holds, and the evidence where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.errors import PipelineError
from pipeline.storage import FileAbsent

Verdict = Literal["pass", "mismatch", "missing", "not_checked"]
"""`missing`: evidence that a verdict needs is not there, which is no pass. `not_checked`: what it is compared with lies
outside the folder and is not at hand; the evidence level says so."""
_KEPT = 20
"""Findings of one check that are kept word for word."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that does not agree."""

    where: str
    """File and uid, or whatever else names the evidence."""
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, kw_only=True)
class Check:
    """The outcome of one test."""

    name: str
    claim: str
    """What holds where it passes."""
    verdict: Verdict
    examined: int
    """Files, rows or whatever the claim is about; a pass over none is no pass."""
    findings: tuple[Finding, ...] = ()
    """The first ones."""
    findings_total: int = 0
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self)


class Tally:
    """A check in the making."""

    def __init__(self, name: str, claim: str) -> None:
        self.name, self.claim = name, claim
        self.examined = 0
        self._findings: list[Finding] = []
        self._total = 0
        self._missing: list[Finding] = []
        self._reasons: list[str] = []
        self._notes: list[str] = []

    def look(self, count: int = 1) -> None:
        """Count what was examined."""
        self.examined += count

    def mismatch(self, where: str, expected: object, found: object) -> None:
        """Record something that does not agree."""
        self._total += 1
        if len(self._findings) < _KEPT:
            self._findings.append(Finding(where=where, expected=str(expected), found=str(found)))

    def missing(self, where: str, expected: object, found: object = "nothing") -> None:
        """Record evidence that is not there."""
        if len(self._missing) < _KEPT:
            self._missing.append(Finding(where=where, expected=str(expected), found=str(found)))

    def not_checked(self, reason: str) -> None:
        """Record that the claim, or a part of it, could not be looked at, and why."""
        self._reasons.append(reason)

    def note(self, text: str) -> None:
        """Add something that a reader should know whatever the verdict."""
        self._notes.append(text)

    def expect(self, where: str, expected: object, found: object) -> None:
        """Examine one thing: a mismatch unless both are equal."""
        self.look()
        if expected != found:
            self.mismatch(where, expected, found)

    def check(self) -> Check:
        """Return the outcome; examined nothing, it passes nothing."""
        verdict: Verdict = "pass"
        if self._total:
            verdict = "mismatch"
        elif self._missing:
            verdict = "missing"
        elif self._reasons:
            verdict = "not_checked"
        elif not self.examined:
            verdict = "missing"
            self._missing.append(Finding(where=self.name, expected="something to examine", found="nothing"))
        return Check(
            name=self.name,
            claim=self.claim,
            verdict=verdict,
            examined=self.examined,
            findings=(*self._findings, *self._missing)[:_KEPT],
            findings_total=self._total + len(self._missing),
            notes=(*self._reasons, *self._notes),
        )


def guarded(tally: Tally, work: Callable[[Tally], None]) -> Check:
    """Return the outcome of `work`; where the folder keeps it from its end, that is a finding and no crash."""
    try:
        work(tally)
    except Exception as error:
        # Whatever a folder makes a test stumble over is a finding: a forged one may hold anything.
        if isinstance(error, FileAbsent) or isinstance(error.__cause__, FileAbsent):
            tally.missing(tally.name, "a file that can be read", error)
        else:
            said = str(error) if isinstance(error, (PipelineError, ValueError, OSError)) else repr(error)
            tally.mismatch(tally.name, "an output folder as jobs leave it", said)
    return tally.check()
