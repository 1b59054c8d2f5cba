from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from mue_model.corpus.captions import captions_of
from mue_model.corpus.scene import Scene

RELATION = r"(left of|right of|above|below|in front of)"
NAME = r"(an? (?:big |small )?\w+ \w+)"
SIZED = r"(an? (?:big|small) \w+ \w+)"


def parts(pattern: str, text: str) -> tuple[str, ...]:
    match = re.fullmatch(pattern, text)
    assert match, text
    return match.groups()


def listed(text: str) -> list[str]:
    """Cut "a red dog a blue cup and a pink key" into its names."""
    return re.findall(r"an? \w+ \w+", text.replace(" and ", " "))


def check(document: dict[str, Any], judge: Any) -> None:
    """Fail unless the reference caption says what the objects of the JSON are, in the order that it must."""
    judge, text, objects = judge(document["objects"]), document["caption"], document["objects"]
    if document["family"] == "one":
        assert judge.the(text) is objects[0]
    elif document["family"] == "count":
        assert judge.counts(*text.split())
    elif document["family"] == "pair":
        first, relation, second = parts(f"{SIZED} {RELATION} {SIZED}", text)
        assert relation in ("left of", "above")
        assert judge.related(first, relation, second)
    elif document["family"] in ("corner", "overlap"):
        name = SIZED if document["family"] == "corner" else NAME
        first, to_second, second, to_third, third = parts(f"{name} {RELATION} {name} and {RELATION} {name}", text)
        assert judge.related(first, to_second, second)
        assert judge.related(first, to_third, third)
        assert to_third != "in front of"
    elif document["family"] == "row":
        low, high, names = parts(r"from (left|top) to (right|bottom) (.*)", text)
        found = listed(names)
        assert len(found) == len(objects)
        relation = {("left", "right"): "left of", ("top", "bottom"): "above"}[low, high]
        assert all(judge.related(one, relation, other) for one, other in pairwise(found))
    elif document["family"] == "tally":
        kinds = re.findall(r"(\w+) (\w+ \w+)", text.replace(" and ", " "))
        numbers = [len(judge.find(name)) for _, name in kinds]
        assert all(judge.counts(*kind) for kind in kinds)
        assert numbers == sorted(set(numbers), reverse=True)
        assert sum(numbers) == len(objects)
    else:
        number, name, most, least = parts(r"the biggest of (\w+) (\w+) is (\w+) and the smallest is (\w+)", text)
        assert judge.counts(number, name)
        assert judge.extreme("biggest", name, most)
        assert judge.extreme("smallest", name, least)


def test_reference_captions_say_what_the_json_says(documents: list[dict[str, Any]], judge: Any) -> None:
    for document in documents:
        check(document, judge)
    assert len({document["family"] for document in documents}) == 8


@pytest.mark.parametrize(
    ("family", "wrong"),
    [
        ("pair", lambda text: re.sub("left of|above", lambda m: {"left of": "above"}.get(m[0], "left of"), text)),
        ("tally", lambda text: " and ".join(reversed(text.split(" and ")))),
        ("rank", lambda text: text.replace("biggest", "x").replace("smallest", "biggest").replace("x", "smallest")),
        ("row", lambda text: re.sub("left|top", lambda m: {"left": "top"}.get(m[0], "left"), text)),
    ],
)
def test_the_check_above_catches_wrong_captions(
    documents: list[dict[str, Any]], judge: Any, family: str, wrong: Any
) -> None:
    document = next(document for document in documents if document["family"] == family)
    with pytest.raises((AssertionError, KeyError, ValueError)):
        check({**document, "caption": wrong(document["caption"])}, judge)


def test_five_different_captions_of_few_words(scenes: list[Scene]) -> None:
    for scene in scenes:
        captions = captions_of(scene)
        assert len(set(captions)) == 5
        assert len(captions[0].split()) <= 18
        assert all(len(caption.split()) <= 22 for caption in captions)


def test_paraphrases_name_the_same_things(scenes: list[Scene]) -> None:
    fillers = {
        "a",
        "an",
        "the",
        "and",
        "is",
        "are",
        "there",
        "here",
        "this",
        "these",
        "image",
        "shows",
        "picture",
        "of",
    }
    fillers |= {"line", "which", "from", "to", "in"}
    opposites = {"right": "left", "below": "above", "behind": "front", "bottom": "top"}
    for scene in scenes:
        bags = [
            Counter(opposites.get(word, word) for word in caption.split() if word not in fillers)
            for caption in captions_of(scene)
        ]
        assert all(bag == bags[0] for bag in bags), captions_of(scene)


def test_words_of_the_longest_form() -> None:
    from mue_model.corpus.families import scene_of
    from mue_model.corpus.settings import CorpusSettings

    scene = next(s for n in range(50) if (s := scene_of(CorpusSettings(levels=(4,)), "train", n)).family == "corner")
    a, b, c = scene.things
    beside, stacked = "left of" if a.x < b.x else "right of", "above" if a.y < c.y else "below"
    assert captions_of(scene)[0] == f"{a.words()} {beside} {b.words()} and {stacked} {c.words()}"
