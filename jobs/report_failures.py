"""Failures by code with a few examples of each, counted in one pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from jobs.failures import Failure, failures_of
from pipeline.ledger import Ledger

EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class FailureCode:
    """All failures with one code."""

    code: str
    stage: str
    kind: str
    """`row` or `shard`."""
    count: int
    examples: tuple[Failure, ...]


def failure_codes(ledger: Ledger) -> list[FailureCode]:
    """Return failed rows and bad shards by code, the most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    examples: dict[tuple[str, str, str], list[Failure]] = {}
    for failure in failures_of(ledger):
        name = failure.kind, failure.stage, failure.code
        counts[name] += 1
        if len(kept := examples.setdefault(name, [])) < EXAMPLES:
            kept.append(failure)
    return [
        FailureCode(kind=name[0], stage=name[1], code=name[2], count=count, examples=tuple(examples[name]))
        for name, count in counts.most_common()
    ]
