"""BLEU-1..4 of a whole corpus (Papineni et al. 2002), as the COCO caption evaluation (arXiv 1504.00325) computes it.

Counts add up over rows; scores do not. Any corpus takes constant memory: sum the rows' `BleuCounts`, then call `bleu`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MAX_N = 4
_TINY, _SMALL = 1e-15, 1e-9
"""Added by the COCO evaluation to numerators and denominators: without them a corpus of single words has no BLEU-2."""

Tokens = Sequence[str]


@dataclass(frozen=True)
class BleuCounts:
    """What a set of rows adds to BLEU."""

    matched: tuple[int, ...] = (0,) * MAX_N
    """n-grams of the candidates found in a reference, each at most as often as in the reference that has it most."""
    possible: tuple[int, ...] = (0,) * MAX_N
    """n-grams of the candidates."""
    candidate_length: int = 0
    reference_length: int = 0
    """Of each row the reference length closest to the candidate's; the shorter one of two equally close ones."""

    def __add__(self, other: BleuCounts) -> BleuCounts:
        return BleuCounts(
            tuple(a + b for a, b in zip(self.matched, other.matched, strict=True)),
            tuple(a + b for a, b in zip(self.possible, other.possible, strict=True)),
            self.candidate_length + other.candidate_length,
            self.reference_length + other.reference_length,
        )


def bleu_counts(candidate: Tokens, references: Sequence[Tokens]) -> BleuCounts:
    """Return the counts of one row; raise `ValueError` where it has no reference."""
    if not references:
        raise ValueError("BLEU needs at least one reference of each row")
    matched, possible = [], []
    for n in range(1, MAX_N + 1):
        wanted = Counter(_ngrams(candidate, n))
        best: dict[tuple[str, ...], int] = dict.fromkeys(wanted, 0)
        for reference in references if wanted else ():
            found = [ngram for ngram in _ngrams(reference, n) if ngram in wanted]
            for ngram, count in Counter(found).items() if found else ():
                best[ngram] = max(best[ngram], count)
        matched.append(sum(min(count, best[ngram]) for ngram, count in wanted.items()))
        possible.append(wanted.total())
    length = len(candidate)
    closest = min((len(reference) for reference in references), key=lambda other: (abs(other - length), other))
    return BleuCounts(tuple(matched), tuple(possible), length, closest)


def bleu(counts: BleuCounts) -> tuple[float, ...]:
    """Return BLEU-1..4 of the rows behind `counts`: geometric means of the clipped precisions, times brevity."""
    ratio = (counts.candidate_length + _TINY) / (counts.reference_length + _SMALL)
    brevity = min(1.0, math.exp(1 - 1 / ratio))
    scores = []
    product = 1.0
    for n, (matched, possible) in enumerate(zip(counts.matched, counts.possible, strict=True), start=1):
        product *= (matched + _TINY) / (possible + _SMALL)
        scores.append(brevity * product ** (1 / n))
    return tuple(scores)


def _ngrams(tokens: Tokens, n: int) -> zip[tuple[str, ...]]:
    return zip(*(tokens[start:] for start in range(n)), strict=False)
