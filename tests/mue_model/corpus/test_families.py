from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from mue_model.corpus.families import FAMILIES, scene_of
from mue_model.corpus.nouns import GROUP_OF, NOUNS
from mue_model.corpus.scene import Scene, Thing, relation
from mue_model.corpus.settings import LEVELS, CorpusSettings


def test_levels_are_balanced_and_come_in_turn(scenes: list[Scene]) -> None:
    training = [scene.level for scene in scenes if scene.split == "train"]
    assert training[:10] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert set(Counter(training).values()) == {len(training) // 5}
    only = CorpusSettings(levels=(2, 5))
    assert [scene_of(only, "train", number).level for number in range(4)] == [2, 5, 2, 5]


def test_every_family_of_a_level_is_about_as_frequent(scenes: list[Scene]) -> None:
    for level in LEVELS:
        families = Counter(scene.family for scene in scenes if scene.level == level and scene.split == "train")
        assert set(families) == set(FAMILIES[level])
        assert min(families.values()) > 0.6 * families.total() / len(families)


def test_another_attempt_changes_the_layout_and_no_word() -> None:
    settings = CorpusSettings()
    for number in range(40):
        first, second = (scene_of(settings, "train", number, attempt=attempt) for attempt in (0, 1))
        assert first.things != second.things
        assert (first.family, first.palette, first.cluttered) == (second.family, second.palette, second.cluttered)
        for one, other in zip(first.things, second.things, strict=True):
            assert (one.noun, one.picture, one.colour, one.size) == (
                other.noun,
                other.picture,
                other.colour,
                other.size,
            )


def test_another_seed_gives_other_scenes() -> None:
    first, second = ([scene_of(CorpusSettings(seed=seed), "train", n) for n in range(20)] for seed in (0, 1))
    assert not set(first) & set(second)


def test_difficulty_rises(scenes: list[Scene]) -> None:
    by_level = {level: [scene for scene in scenes if scene.level == level] for level in LEVELS}
    assert {len(scene.things) for scene in by_level[1]} == {1}
    assert {len(scene.things) for scene in by_level[2]} == set(range(2, 10))
    assert {len(scene.things) for scene in by_level[3]} == {2}
    assert min(len(scene.things) for scene in by_level[4]) >= 3
    assert max(len(scene.things) for scene in by_level[5]) == 12
    assert all(scene.cluttered == (scene.level == 5) for scene in scenes)
    assert min(thing.side for scene in by_level[1] for thing in scene.things) >= 0.5
    smallest = min(thing.side for scene in by_level[5] for thing in scene.things)
    assert 0.1 < smallest < 0.17


def test_hard_scenes_have_look_alikes(scenes: list[Scene]) -> None:
    for scene in scenes:
        if scene.level == 5:
            groups = Counter(GROUP_OF.get(noun, (noun,)) for noun in scene.nouns)
            assert groups.most_common(1)[0][1] >= 2, scene.nouns


def test_only_levels_of_attributes_speak_of_colour(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert all((thing.colour is not None) == (scene.level >= 3) for thing in scene.things)
        assert all((thing.size is not None) == (scene.family in ("pair", "corner")) for thing in scene.things)
        assert all(thing.picture in NOUNS[thing.noun].pictures for thing in scene.things)


def test_ranked_things_differ_in_size_by_a_fifth(scenes: list[Scene]) -> None:
    ranks = [scene for scene in scenes if scene.family == "rank"]
    for scene in ranks:
        sides = [thing.side for thing in scene.things if thing.noun == scene.things[0].noun]
        assert len(sides) in (3, 4)
        assert all(big >= 1.2 * small for big, small in pairwise(sides))
    assert {len(scene.nouns) for scene in ranks} == {1, 2}


def test_things_lie_inside_the_picture(scenes: list[Scene]) -> None:
    for thing in (thing for scene in scenes for thing in scene.things):
        assert thing.side / 2 <= thing.x <= 1 - thing.side / 2
        assert thing.side / 2 <= thing.y <= 1 - thing.side / 2


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.8, 0.5, "left of"), (0.2, 0.6, "right of"), (0.5, 0.9, "above"), (0.6, 0.1, "below"), (0.6, 0.6, None),
     (0.9, 0.9, None)],
)  # fmt: skip
def test_relation_of_a_thing_in_the_middle(x: float, y: float, expected: str | None) -> None:
    middle, other = (Thing("dog", "1F415", None, None, a, b, 0.1, False, 0.0) for a, b in ((0.5, 0.5), (x, y)))
    assert relation(middle, other) == expected
