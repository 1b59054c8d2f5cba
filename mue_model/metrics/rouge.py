"""ROUGE-L of one caption (Lin 2004), as the COCO caption evaluation (arXiv 1504.00325) computes it; average over rows.

The F-measure of the best precision and the best recall over the references, recall weighing beta^2 = 1.44 as much.
An empty caption equals an empty reference and shares nothing with any other, as there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

BETA = 1.2


def rouge_l(candidate: Sequence[str], references: Sequence[Sequence[str]], *, beta: float = BETA) -> float:
    """Return ROUGE-L in 0..1; raise `ValueError` where there is no reference."""
    if not references:
        raise ValueError("ROUGE-L needs at least one reference of each row")
    precision = recall = 0.0
    for reference in references:
        if not candidate or not reference:
            common = 1.0 if len(candidate) == len(reference) else 0.0
            precision, recall = max(precision, common), max(recall, common)
            continue
        length = lcs_length(candidate, reference)
        precision = max(precision, length / len(candidate))
        recall = max(recall, length / len(reference))
    if not precision or not recall:
        return 0.0
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, a whole row of the table at a time.

    One bit of an integer stands for one word of `second` (Hyyrö 2004, "Bit-parallel LCS-length computation
    revisited"): a bit turns 0 where the row of the dynamic programme steps up by one.
    """
    places: defaultdict[str, int] = defaultdict(int)
    for index, word in enumerate(second):
        places[word] |= 1 << index
    full = (1 << len(second)) - 1
    row = full
    for word in first:
        hits = row & places.get(word, 0)
        row = ((row + hits) | (row - hits)) & full
    return len(second) - row.bit_count()
