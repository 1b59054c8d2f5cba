"""Time and peak memory of all caption metrics over a large corpus, tokenisation included.

    python benchmarks/caption_metrics.py [--rows 100000] [--words zipf]

Five references a row, 11 words a caption, from 30,000 words. `zipf` repeats words as English does; `uniform` makes
nearly every n-gram of two words and more a new one, the worst case for memory. Prints a table and, as the last line,
one JSON document.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator

import numpy as np

from mue_model.metrics.captions import CaptionScorer
from mue_model.metrics.tokenisation import tokenise

REFERENCES, WORDS, VOCABULARY, BATCH = 5, 11, 30_000, 2_000


def rows(count: int, words: str) -> Iterator[list[str]]:
    """Yield the raw captions of one row after another, the candidate first."""
    rng = np.random.default_rng(0)
    names = np.array([f"word{number}" for number in range(VOCABULARY)], dtype=object)
    for _ in range(0, count, BATCH):
        size = BATCH * (1 + REFERENCES) * WORDS
        numbers = (
            np.minimum(rng.zipf(1.3, size), VOCABULARY) - 1 if words == "zipf" else rng.integers(0, VOCABULARY, size)
        )
        for row in names[numbers].reshape(BATCH, 1 + REFERENCES, WORDS):
            yield [f"{' '.join(caption)}.".capitalize() for caption in row]


def main() -> None:
    """Score the corpus once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--words", choices=("zipf", "uniform"), default="zipf")
    options = parser.parse_args()
    if options.rows < BATCH or options.rows % BATCH:
        parser.error(f"--rows: a multiple of {BATCH}")
    seconds = {"drawing the corpus": 0.0, "tokenising": 0.0, "BLEU, ROUGE-L, exact match": 0.0, "CIDEr-D": 0.0}
    scorer = CaptionScorer()
    clock = time.perf_counter
    last = clock()
    for captions in rows(options.rows, options.words):
        drawn = clock()
        tokenised = [tokenise(caption) for caption in captions]
        cut = clock()
        scorer.add(tokenised[0], tokenised[1:])
        done = clock()
        seconds["drawing the corpus"] += drawn - last
        seconds["tokenising"] += cut - drawn
        seconds["BLEU, ROUGE-L, exact match"] += done - cut
        last = done
    scores = scorer.scores()
    seconds["CIDEr-D"] = clock() - last
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, value in seconds.items():
        print(f"{name:<28}{value:8.1f} s")
    print(f"{'peak memory':<28}{peak_mib:8.0f} MiB")
    facts = {"rows": scores.rows, "words": options.words, "peak_mib": round(peak_mib), "cider_d": scores.cider_d}
    print(json.dumps({**facts, "seconds": {name: round(value, 2) for name, value in seconds.items()}}))


if __name__ == "__main__":
    main()
