from __future__ import annotations

import pytest

from mue_model.metrics.captions import CaptionScorer

ROWS = [
    ("a red cat sits", ["a red cat sits", "a cat"], "easy"),
    ("a blue dog", ["a green dog runs"], "hard"),
    ("two birds", ["two birds fly", "birds"], "hard"),
]


def scorer(rows: list[tuple[str, list[str], str]]) -> CaptionScorer:
    found = CaptionScorer()
    for candidate, references, group in rows:
        found.add(candidate.split(), [reference.split() for reference in references], group=group)
    return found


def test_groups_share_the_rarity_of_the_whole_corpus() -> None:
    whole = scorer(ROWS)
    scores, groups = whole.scores(), whole.scores_by_group()
    assert list(groups) == ["easy", "hard"]
    assert groups["easy"].rows + groups["hard"].rows == scores.rows == 3
    for name in ("cider_d", "rouge_l", "exact_match"):
        mean = sum(getattr(group, name) * group.rows for group in groups.values()) / 3
        assert mean == pytest.approx(getattr(scores, name))
    alone = scorer(ROWS[1:]).scores()
    assert alone.cider_d != pytest.approx(groups["hard"].cider_d)
    assert alone.bleu == pytest.approx(groups["hard"].bleu)
    assert alone.rouge_l == pytest.approx(groups["hard"].rouge_l)


def test_captions_like_their_references_score_best() -> None:
    rows = [(f"w{n} x{n} y{n} z{n}", [f"w{n} x{n} y{n} z{n}"], "") for n in range(3)]
    scores = scorer(rows).scores()
    assert scores.cider_d == pytest.approx(10)
    assert scores.bleu == pytest.approx((1, 1, 1, 1))
    assert (scores.rouge_l, scores.exact_match) == (pytest.approx(1), 1.0)


def test_no_row_no_score() -> None:
    with pytest.raises(ValueError, match="without a row"):
        CaptionScorer().scores()
    assert CaptionScorer().scores_by_group() == {}
