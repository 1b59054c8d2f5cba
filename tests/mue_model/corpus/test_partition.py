from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from mue_model.corpus.draws import Draws
from mue_model.corpus.nouns import GROUP_OF, UNSEEN_NOUNS
from mue_model.corpus.partition import PALETTES, SEEN_NOUNS, Choice, Part, pair_owner, palettes_of, part_of
from mue_model.corpus.scene import Scene
from mue_model.corpus.settings import SPLITS, Split


def pairs_of(scenes: list[Scene]) -> set[frozenset[str]]:
    return {frozenset(pair) for scene in scenes for pair in combinations(scene.nouns, 2)}


def test_splits_share_no_background(scenes: list[Scene]) -> None:
    palettes = [set(palettes_of(split)) for split in SPLITS]
    assert not any(first & second for first, second in combinations(palettes, 2))
    assert sum(map(len, palettes)) == PALETTES
    for split, own in zip(SPLITS, palettes, strict=True):
        assert {scene.palette for scene in scenes if scene.split == split} == own


def test_training_shows_no_unseen_noun_and_no_pair_of_another_split(scenes: list[Scene]) -> None:
    training = [scene for scene in scenes if scene.split == "train"]
    assert {scene.part for scene in training} == {"seen"}
    assert UNSEEN_NOUNS.isdisjoint(noun for scene in training for noun in scene.nouns)
    assert {pair_owner(*pair) for pair in pairs_of(training)} == {"train"}


@pytest.mark.parametrize("split", ["val", "test"])
def test_each_new_pair_scene_has_a_pair_that_no_training_scene_may_show(scenes: list[Scene], split: Split) -> None:
    new = [scene for scene in scenes if (scene.split, scene.part) == (split, "new_pairs")]
    assert {scene.level for scene in new} == {3, 4, 5}
    for scene in new:
        assert split in {pair_owner(*pair) for pair in combinations(scene.nouns, 2)}
        assert UNSEEN_NOUNS.isdisjoint(scene.nouns)


def test_seen_scenes_of_the_test_split_show_nothing_new(scenes: list[Scene]) -> None:
    seen = [scene for scene in scenes if (scene.split, scene.part) == ("test", "seen")]
    assert {scene.level for scene in seen} == {1, 2, 3, 4, 5}
    assert {pair_owner(*pair) for pair in pairs_of(seen)} == {"train"}


def test_new_noun_scenes_show_unseen_nouns_only(scenes: list[Scene]) -> None:
    new = [scene for scene in scenes if scene.part == "new_nouns"]
    assert {scene.split for scene in new} == {"test"}
    assert {scene.level for scene in new} == {1, 2, 3, 4, 5}
    assert all(UNSEEN_NOUNS.issuperset(scene.nouns) for scene in new)


def test_parts_come_in_turn() -> None:
    assert Counter(part_of("test", turn, pairs=True) for turn in range(20)) == {
        "seen": 14,
        "new_pairs": 4,
        "new_nouns": 2,
    }
    assert Counter(part_of("test", turn, pairs=False) for turn in range(10)) == {"seen": 9, "new_nouns": 1}


def test_pair_owners_do_not_depend_on_order_and_stay_for_ever() -> None:
    assert pair_owner("dog", "cat") == pair_owner("cat", "dog")
    owners = Counter(pair_owner(*pair) for pair in combinations(SEEN_NOUNS, 2))
    share = {split: owners[split] / owners.total() for split in SPLITS}
    assert share["test"] == pytest.approx(0.1, abs=0.01)
    assert share["val"] == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("part", ["seen", "new_pairs", "new_nouns"])
def test_look_alikes_come_from_one_group(part: Part) -> None:
    draws, choice = Draws("alike", part), Choice("test", part)
    for _ in range(50):
        nouns = choice.draw(draws, 4, look_alikes=3)
        groups = Counter(GROUP_OF.get(noun, (noun,)) for noun in nouns)
        assert len(set(nouns)) == 4
        assert max(groups.values()) == 3
        assert choice.allows(nouns)


@pytest.mark.parametrize("part", ["seen", "new_pairs", "new_nouns"])
def test_a_replacement_might_have_been_drawn(part: Part) -> None:
    draws, choice = Draws("replace", part), Choice("test", part)
    for _ in range(100):
        nouns = choice.draw(draws, 3)
        other = choice.replacement(draws, nouns, nouns[0])
        assert other is None or (other not in nouns and choice.allows([other, *nouns[1:]]))


def test_a_replacement_is_as_likely_as_the_way_back() -> None:
    """Else a text would be false more often than true, and a model could do without the picture."""
    draws, choice = Draws("back"), Choice("train", "seen")
    there: Counter[bool] = Counter()
    back: Counter[bool] = Counter()
    for _ in range(4000):
        noun = choice.draw(draws, 1)[0]
        other = choice.replacement(draws, [noun], noun)
        assert other is not None
        there[noun in GROUP_OF] += 1
        back[other in GROUP_OF] += 1
    assert there == back
