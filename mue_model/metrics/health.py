"""What is wrong with captions as far as it shows without references: empty, cut, repeating itself, all the same.

A row is added and forgotten; memory grows by one number per distinct caption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

LONG_REPEAT = 4
"""So many words said twice anywhere in a caption are a repetition; fewer only in direct succession."""


@dataclass(frozen=True, kw_only=True)
class HealthReport:
    """Faults are counts of captions; a caption may have several."""

    captions: int
    empty: int
    """Without a word."""
    truncated: int
    """Stopped by the length limit, not by the model."""
    repeating: int
    """Some four words occur twice, or one to three words twice in direct succession."""
    distinct: int
    """Captions that differ from each other."""
    duplicate_rate: float
    """Share of captions that repeat an earlier row's."""
    commonest: str
    commonest_rows: int
    length_mean: float
    """Lengths are in words."""
    length_min: int
    length_median: int
    length_p95: int
    length_max: int


class Health:
    """Counts faults over a stream of captions."""

    def __init__(self) -> None:
        self._lengths: Counter[int] = Counter()
        self._seen: Counter[int] = Counter()
        self._commonest = ("", 0)
        self._truncated = self._repeating = 0

    def add(self, tokens: Sequence[str], *, truncated: bool) -> None:
        """Count one caption."""
        self._lengths[len(tokens)] += 1
        self._truncated += truncated
        self._repeating += repeats(tokens)
        text = " ".join(tokens)
        key = hash(text)
        self._seen[key] += 1
        if self._seen[key] > self._commonest[1]:
            self._commonest = (text, self._seen[key])

    def report(self) -> HealthReport | None:
        """Return what was counted so far; None before the first caption."""
        captions = self._lengths.total()
        if not captions:
            return None
        return HealthReport(
            captions=captions,
            empty=self._lengths[0],
            truncated=self._truncated,
            repeating=self._repeating,
            distinct=len(self._seen),
            duplicate_rate=1 - len(self._seen) / captions,
            commonest=self._commonest[0],
            commonest_rows=self._commonest[1],
            length_mean=sum(length * count for length, count in self._lengths.items()) / captions,
            length_min=min(self._lengths),
            length_median=self._length_at(0.5),
            length_p95=self._length_at(0.95),
            length_max=max(self._lengths),
        )

    def _length_at(self, share: float) -> int:
        """The smallest length that at least `share` of the captions do not exceed."""
        left = share * self._lengths.total()
        for length in sorted(self._lengths):
            left -= self._lengths[length]
            if left <= 0:
                return length
        return max(self._lengths)


def repeats(tokens: Sequence[str]) -> bool:
    """Return whether the caption says some four words twice, or one to three words twice in direct succession."""
    for n in range(1, LONG_REPEAT):
        if any(tokens[at : at + n] == tokens[at + n : at + 2 * n] for at in range(len(tokens) - 2 * n + 1)):
            return True
    spans = [tuple(tokens[at : at + LONG_REPEAT]) for at in range(len(tokens) - LONG_REPEAT + 1)]
    return len(set(spans)) < len(spans)
