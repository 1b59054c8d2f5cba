"""How strong the evidence for a job's savings is, level by level; a level holds only if all below it do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.verify_check import Check

_CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("estimated", ()),
    (
        "recomputable from the rows",
        ("documents", "receipts", "tiling", "rows", "status", "depths", "texts", "costs", "sharing", "headline"),
    ),
    (
        "digests and environment",
        ("digests", "no_extra_files", "fingerprint", "settings", "environment", "parts", "inputs"),
    ),
    ("shadow audit with an interval", ("shadow", "shadow_estimate", "mean_length")),
    ("measured time of the same run", ("windows",)),
    ("independent re-run", ("rerun",)),
)
"""What each level rests on."""
AT_HAND = ("depths", "texts", "costs", "inputs", "rerun")
"""Checks that need more than the folder: the model, the inputs, or to be asked for."""
_REMEDIES = {
    "inputs": "give the folder of the inputs with --inputs",
    "depths": "give the model's folder with --model",
    "texts": "give the model's folder with --model",
    "costs": "give the model's folder with --model",
    "shadow": "plan the job with audit.rate",
    "shadow_of_audit": "run 'mue audit run OUT' again",
    "shadow_estimate": "plan the job with audit.rate, or run 'mue audit run OUT'",
    "mean_length": "plan the job with a higher audit.rate, or run 'mue audit run OUT'",
    "windows": "plan the job with audit.windows of 2 or more",
    "rerun": "run 'mue verify OUT --rerun 20' where the inputs and the model are",
}


@dataclass(frozen=True, kw_only=True)
class EvidenceStep:
    """One level."""

    level: int
    name: str
    met: bool
    """Whether its own conditions hold, whatever those below do."""
    reason: str
    """Why, or why not."""
    remedy: str | None
    """What would make it hold; None where it does, or where nothing can."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The level that was reached, and every step to the highest one."""

    level: int
    steps: tuple[EvidenceStep, ...]

    @property
    def name(self) -> str:
        """As in `L2 digests and environment`."""
        return f"L{self.level} {self.steps[self.level].name}"

    def document(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self) | {"name": self.name}


def evidence_of(checks: Sequence[Check]) -> Evidence:
    """Return the level that the outcome of `checks` supports; with a mismatch anywhere there is none."""
    by_name = {check.name: check for check in checks}
    steps = [_step(level, name, needed, by_name) for level, (name, needed) in enumerate(_CHECKS)]
    level = 0
    if not any(check.verdict == "mismatch" for check in checks):
        while level + 1 < len(steps) and steps[level + 1].met:
            level += 1
    return Evidence(level=level, steps=tuple(steps))


def with_all_at_hand(checks: Sequence[Check]) -> list[Check]:
    """Return the checks as if those that lack the model, the inputs or a re-run had passed."""
    kept = [check for check in checks if check.name not in AT_HAND or check.verdict in ("pass", "mismatch")]
    names = {check.name for check in kept}
    return kept + [Check(name=name, claim="", verdict="pass", examined=0) for name in AT_HAND if name not in names]


def _step(level: int, name: str, needed: Sequence[str], checks: Mapping[str, Check]) -> EvidenceStep:
    lacking = [word for word in needed if word not in checks or checks[word].verdict != "pass"]
    if "shadow" in lacking and "shadow" not in checks and "shadow_of_audit" in checks:
        # Rows were run again afterwards instead.
        instead = [] if checks["shadow_of_audit"].verdict == "pass" else ["shadow_of_audit"]
        lacking = instead + [word for word in lacking if word != "shadow"]
    if not lacking:
        held = ", ".join(needed) or "nothing needs to be shown for it"
        return EvidenceStep(level=level, name=name, met=True, reason=held, remedy=None)
    first = lacking[0]
    reason = "; ".join(_reason(word, checks.get(word)) for word in lacking)
    broken = any(word in checks and checks[word].verdict == "mismatch" for word in lacking)
    return EvidenceStep(
        level=level, name=name, met=False, reason=reason, remedy=None if broken else _REMEDIES.get(first)
    )


def _reason(name: str, check: Check | None) -> str:
    if check is None:
        return f"{name}: not looked at"
    said = [str(finding) for finding in check.findings[:1]] or list(check.notes[:1])
    return f"{name}: {check.verdict.replace('_', ' ')}" + (f" ({said[0]})" if said else "")
