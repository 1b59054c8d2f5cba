"""What a point keeps of full depth's quality, and how sure that is: the same rows in pairs, an image's together."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import NormalDist

from jobs.references import References
from jobs.trial import Trial
from jobs.tune_questions import image_of, is_right


@dataclass(frozen=True)
class Kept:
    """Quality over that of full depth; NaN where full depth has nothing right, as a rehearsal's model has not."""

    share: float
    error: float
    """Standard error, of a ratio over images (linearised), for rows of one image are no draws of their own."""

    @property
    def within(self) -> float:
        """Half of the 95 % interval."""
        return NormalDist().inv_cdf(0.975) * self.error


def kept_of(trial: Trial, full: Trial, references: References) -> Kept:
    """Return what `trial` keeps of `full`, both with all answers to the same questions."""
    by_image: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (question, own), (_, deep) in zip(trial.answers, full.answers, strict=True):
        image = by_image[image_of(question)]
        image[0] += is_right(question, own, references)
        image[1] += is_right(question, deep, references)
    owns, deeps = (sum(right) for right in zip(*by_image.values(), strict=True))
    if not deeps:
        return Kept(math.nan, math.nan)
    share = owns / deeps
    return Kept(share, math.sqrt(sum((own - share * deep) ** 2 for own, deep in by_image.values())) / deeps)
