from __future__ import annotations

from collections import Counter

from mue_model.corpus.draws import Draws


def test_the_same_names_give_the_same_choices_for_ever() -> None:
    draws = Draws(1, 0, "train", 7, "what")
    assert [draws.integer(0, 99) for _ in range(6)] == [0, 20, 57, 44, 5, 89]


def test_names_are_kept_apart() -> None:
    first, second = Draws("a", "bc"), Draws("ab", "c")
    assert [first.uniform(0, 1) for _ in range(3)] != [second.uniform(0, 1) for _ in range(3)]


def test_every_option_is_as_likely_as_any_other() -> None:
    draws = Draws("likely")
    assert set(Counter(draws.integer(2, 5) for _ in range(400))) == {2, 3, 4, 5}
    firsts = Counter(draws.shuffled("abcd")[0] for _ in range(4000))
    assert min(firsts.values()) > 900
    assert sorted(draws.sample(range(5), 5)) == [0, 1, 2, 3, 4]
