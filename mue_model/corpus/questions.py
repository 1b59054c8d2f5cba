"""Questions about a picture, each with its one answer in a word."""

from __future__ import annotations

from collections.abc import Iterator

from mue_model.corpus.captions import kinds_of
from mue_model.corpus.draws import Draws
from mue_model.corpus.grammar import NUMBERS, plural
from mue_model.corpus.phrases import QUESTIONS
from mue_model.corpus.scene import Scene, relation

PER_PICTURE = 2
"""Questions that a picture has; one, where nothing else can be asked."""
ANSWERS = 10
"""Copies of the answer, the number that the VQA data sets have."""

_RIVAL = 0.12
"""Sides of the picture by which another thing need only be off that way to be a second answer."""
_DIRECTIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}


def questions_of(scene: Scene, draws: Draws) -> list[dict[str, object]]:
    """Return up to `PER_PICTURE` questions as {"question": ..., "answers": [...]}."""
    found = list(dict.fromkeys(_questions(scene)))
    chosen = draws.sample(found, min(PER_PICTURE, len(found)))
    return [{"question": question, "answers": [answer] * ANSWERS} for question, answer in chosen]


def _questions(scene: Scene) -> Iterator[tuple[str, str]]:
    """Yield every question that fits the scene, with its answer."""
    things = scene.things
    if scene.family == "one":
        yield QUESTIONS["what"], things[0].noun
    elif scene.family == "count":
        yield QUESTIONS["number"].format(x=plural(things[0].noun)), NUMBERS[len(things)]
        yield QUESTIONS["kind"], plural(things[0].noun)
    elif scene.family == "tally":
        yield from _of_tally(scene)
    elif scene.family == "rank":
        noun = things[0].noun
        ranked = [thing for thing in things if thing.noun == noun]
        yield QUESTIONS["number"].format(x=plural(noun)), NUMBERS[len(ranked)]
        yield QUESTIONS["biggest"].format(x=noun), str(ranked[0].colour)
        yield QUESTIONS["smallest"].format(x=noun), str(ranked[-1].colour)
    else:
        yield from _of_single_things(scene)


def _of_tally(scene: Scene) -> Iterator[tuple[str, str]]:
    kinds = kinds_of(scene)
    for colour, noun, number in kinds:
        yield QUESTIONS["number"].format(x=f"{colour} {plural(noun)}"), NUMBERS[number]
        if sum(noun == other for _, other, _ in kinds) == 1:
            yield QUESTIONS["colours"].format(x=plural(noun)), str(colour)
    yield QUESTIONS["total"], NUMBERS[len(scene.things)]


def _of_single_things(scene: Scene) -> Iterator[tuple[str, str]]:
    """Yield what can be asked where every thing has a noun of its own."""
    things = scene.things
    for thing in things:
        yield QUESTIONS["colour"].format(x=thing.noun), str(thing.colour)
        if thing.size:
            yield QUESTIONS["size"].format(x=thing.noun), thing.size
        for rel, (x, y) in _DIRECTIONS.items():
            found = [o for o in things if (o.x - thing.x) * x + (o.y - thing.y) * y >= _RIVAL]
            if len(found) == 1 and relation(found[0], thing) == rel:
                yield QUESTIONS["relation"].format(rel=rel, x=thing.noun), found[0].noun
        for other in things:
            if {thing.size, other.size} == {"big", "small"}:
                answer = "yes" if thing.size == "big" else "no"
                yield QUESTIONS["bigger"].format(x=thing.noun, y=other.noun), answer
    if scene.family == "row" and len(things) == 3:
        yield QUESTIONS["between"].format(x=things[0].noun, y=things[2].noun), things[1].noun
    if scene.family == "overlap":
        yield QUESTIONS["front"].format(x=things[1].noun), things[0].noun
        yield QUESTIONS["behind"].format(x=things[0].noun), things[1].noun
