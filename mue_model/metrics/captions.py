"""All caption metrics over one corpus in one stream, for the corpus and for groups of its rows.

CIDEr-D of a group is the mean over its rows with the rarity of n-grams in the whole corpus, so groups can be compared
with each other and with the whole; computed on the group alone it would be another number.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mue_model.metrics.bleu import BleuCounts, bleu, bleu_counts
from mue_model.metrics.cider import CiderD
from mue_model.metrics.exact_match import exact_match
from mue_model.metrics.rouge import rouge_l


@dataclass(frozen=True, kw_only=True)
class CaptionScores:
    """Scores of one set of rows. All but CIDEr-D are in 0..1."""

    rows: int
    cider_d: float
    """0..10; papers print it times 100, so 1.2 is their 120."""
    bleu: tuple[float, ...]
    """BLEU-1..4 of these rows together."""
    rouge_l: float
    exact_match: float
    """Share of captions that are one of their references, word for word."""


class CaptionScorer:
    """Collects every row of a corpus, then scores it. All shards go into one scorer."""

    def __init__(self) -> None:
        self._cider = CiderD()
        self._bleu: defaultdict[str, BleuCounts] = defaultdict(BleuCounts)
        self._rouge = array("d")
        self._exact = array("b")
        self._groups: dict[str, int] = {}
        self._group_of = array("I")

    def __len__(self) -> int:
        """Rows added."""
        return len(self._cider)

    def add(self, candidate: Sequence[str], references: Sequence[Sequence[str]], *, group: str = "") -> None:
        """Add one row, in words; raise `ValueError` where it has no reference or the corpus was scored already."""
        self._cider.add(candidate, references)
        self._bleu[group] += bleu_counts(candidate, references)
        self._rouge.append(rouge_l(candidate, references))
        self._exact.append(exact_match(candidate, references))
        self._group_of.append(self._groups.setdefault(group, len(self._groups)))

    def scores(self) -> CaptionScores:
        """Return the scores of the whole corpus; raise `ValueError` where there is no row."""
        counts = sum(self._bleu.values(), BleuCounts())
        return self._scores_of(np.ones(len(self), bool), counts)

    def scores_by_group(self) -> dict[str, CaptionScores]:
        """Return the scores of each group that has rows."""
        group_of = np.array(self._group_of)
        return {group: self._scores_of(group_of == number, self._bleu[group]) for group, number in self._groups.items()}

    def _scores_of(self, rows: npt.NDArray[np.bool_], counts: BleuCounts) -> CaptionScores:
        return CaptionScores(
            rows=int(rows.sum()),
            cider_d=float(self._cider.scores()[rows].mean()),
            bleu=bleu(counts),
            rouge_l=float(np.array(self._rouge)[rows].mean()),
            exact_match=float(np.array(self._exact)[rows].mean()),
        )
