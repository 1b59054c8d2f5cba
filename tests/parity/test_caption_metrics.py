"""BLEU, ROUGE-L and CIDEr-D equal pycocoevalcap's scorers on words; its Java tokeniser is not called."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mue_model.metrics.bleu import BleuCounts, bleu, bleu_counts
from mue_model.metrics.captions import CaptionScorer
from mue_model.metrics.cider import CiderD
from mue_model.metrics.rouge import rouge_l
from mue_model.metrics.tokenisation import pre_tokenised

pytest.importorskip(
    "pycocoevalcap", reason="pycocoevalcap is not installed: metrics are held to hand-made figures only"
)

Corpus = list[tuple[list[str], list[list[str]]]]
"""Of each row the candidate's words and those of its references."""

WORDS = ["a", "b", "c", "the", "cat", "日本", "naïve", "😀", "é", "e\u0301", "3.5", "n't", "'", "x-y"]
TOLERANCE = 1e-6


def captions(least: int) -> st.SearchStrategy[list[str]]:
    """Few words, so that n-grams meet; many words; single words."""
    few = st.lists(st.sampled_from(WORDS[:3]), min_size=least, max_size=6)
    many = st.lists(st.sampled_from(WORDS), min_size=least, max_size=14)
    return st.one_of(few, many, st.lists(st.sampled_from(WORDS), min_size=least, max_size=1))


ROWS = st.tuples(
    captions(least=0),
    st.tuples(captions(least=1), st.lists(captions(least=0), max_size=5)).map(lambda texts: [texts[0], *texts[1]]),
)
CORPORA = st.lists(ROWS, min_size=1, max_size=12)
SAME = (["a", "b", "a", "b", "a", "b"], [["a", "b"], ["b", "a", "b", "a", "b"]])


def in_coco_form(corpus: Corpus) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """References and candidates as the scorers take them: words joined by single spaces."""
    references = {row: [" ".join(words) for words in texts] for row, (_, texts) in enumerate(corpus)}
    return references, {row: [" ".join(candidate)] for row, (candidate, _) in enumerate(corpus)}


def theirs(name: str, corpus: Corpus, **options: Any) -> Any:
    """The score of the corpus and of each row by pycocoevalcap."""
    scorer = getattr(importlib.import_module(f"pycocoevalcap.{name.lower()}.{name.lower()}"), name)()
    return scorer.compute_score(*in_coco_form(corpus), **options)


def drawn(test: Callable[[Corpus], None]) -> Callable[[], None]:
    """Run `test` on drawn corpora and on the ones that are worth naming."""
    for corpus in ([SAME], [SAME, (["a"], [["a"]])], [([], [["a"]])], [(["a"], [["b"]]), ([], [["c", "a"], []])]):
        test = example(corpus)(test)
    return settings(deadline=None, max_examples=120)(given(CORPORA)(test))  # type: ignore[return-value]


@drawn
def test_bleu(corpus: Corpus) -> None:
    expected, _ = theirs("Bleu", corpus, verbose=0)
    counts = sum((bleu_counts(candidate, references) for candidate, references in corpus), BleuCounts())
    assert bleu(counts) == pytest.approx(expected, abs=TOLERANCE)


@drawn
def test_rouge_l(corpus: Corpus) -> None:
    _, expected = theirs("Rouge", corpus)
    assert [rouge_l(*row) for row in corpus] == pytest.approx(list(expected), abs=TOLERANCE)


@drawn
def test_cider_d(corpus: Corpus) -> None:
    _, expected = theirs("Cider", corpus)
    for chunk_words in (1, 7, 1 << 17):
        scorer = CiderD(chunk_words=chunk_words)
        for candidate, references in corpus:
            scorer.add(candidate, references)
        np.testing.assert_allclose(scorer.scores(), expected, rtol=0, atol=TOLERANCE)


def test_a_larger_corpus_as_text() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(60)]

    def caption() -> list[str]:
        return [words[number] for number in np.minimum(rng.zipf(1.4, rng.integers(0, 15)) - 1, 59)]

    corpus: Corpus = [(caption(), [["w1", *caption()] for _ in range(rng.integers(1, 7))]) for _ in range(400)]
    scorer = CaptionScorer()
    for candidate, references in corpus:
        scorer.add(pre_tokenised(" ".join(candidate)), [pre_tokenised(" ".join(text)) for text in references])
    scores = scorer.scores()
    assert scores.cider_d == pytest.approx(theirs("Cider", corpus)[0], abs=TOLERANCE)
    assert scores.bleu == pytest.approx(theirs("Bleu", corpus, verbose=0)[0], abs=TOLERANCE)
    assert scores.rouge_l == pytest.approx(theirs("Rouge", corpus)[0], abs=TOLERANCE)
    assert scores.cider_d > 0.1
    assert scores.bleu[3] > 0.01
