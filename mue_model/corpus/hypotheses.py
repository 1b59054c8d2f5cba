"""Statements about a picture that it entails, contradicts or leaves open.

Entailed and contradicted ones come in pairs, a true statement and a false one of the same form. The false one says of
one thing what is true of another (or names a noun or number that might as well have been drawn), so that over a
corpus each text is true as often as false: who does not see the picture can only guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from mue_model.corpus.captions import kinds_of, number_words
from mue_model.corpus.draws import Draws
from mue_model.corpus.families import COUNTS
from mue_model.corpus.grammar import counted, plural, with_article
from mue_model.corpus.partition import Choice
from mue_model.corpus.phrases import NEUTRAL, STATEMENTS
from mue_model.corpus.scene import Scene, Thing, relation

LABELS = ("entailment", "neutral", "contradiction")
PER_LABEL = 2
"""Hypotheses of each label that a picture has."""

_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}

Pair = tuple[str, str]
"""A true statement and a false one."""


def hypotheses_of(scene: Scene, draws: Draws) -> list[dict[str, str]]:
    """Return `PER_LABEL` hypotheses of each label in random order, as {"hypothesis": ..., "label": ...}."""
    chosen: list[Pair] = []
    for pair in draws.shuffled(list(_pairs(scene, draws))):
        if len(chosen) < PER_LABEL and not any(text in other for text in pair for other in chosen):
            chosen.append(pair)
    found = [
        (text, label) for pair in chosen for text, label in zip(pair, ("entailment", "contradiction"), strict=True)
    ]
    for template in draws.sample(NEUTRAL, PER_LABEL):
        noun = draws.pick(scene.nouns)
        alone = sum(thing.noun == noun for thing in scene.things) == 1
        found.append((template.format(the=f"the {noun if alone else plural(noun)}"), "neutral"))
    return [{"hypothesis": text, "label": label} for text, label in draws.shuffled(found)]


def _pairs(scene: Scene, draws: Draws) -> Iterator[Pair]:
    """Yield every pair of statements that fits the scene, at least `PER_LABEL`."""
    if scene.family in ("count", "tally", "rank"):
        yield from {"count": _of_count, "tally": _of_tally, "rank": _of_rank}[scene.family](scene, draws)
        yield from _other_noun(scene, draws, draws.pick(STATEMENTS["several"]), plural)
        return
    things = draws.shuffled(scene.things)
    for template in STATEMENTS["single"] if scene.family == "one" else STATEMENTS["single"][:1]:
        yield from _other_noun(scene, draws, template, with_article)
    if scene.family == "overlap":
        front, back = scene.things[0].noun, scene.things[1].noun
        yield _swapped(draws.pick(("front", "behind")), front, back)
    if scene.family == "row" and len(things) == 3:
        yield _between(draws, *scene.nouns)
    for first, second in combinations(things, 2):
        yield from _of_two(first, second, draws)


def _of_two(first: Thing, second: Thing, draws: Draws) -> Iterator[Pair]:
    """Yield what two things with different nouns allow to say: place, colour, size."""
    if found := relation(first, second):
        if draws.chance(0.5):
            first, second, found = second, first, _OPPOSITE[found]
        template = STATEMENTS["relation"][0]
        yield (
            template.format(x=first.noun, rel=found, y=second.noun),
            template.format(x=second.noun, rel=found, y=first.noun),
        )
    if first.colour != second.colour:
        template = draws.pick(STATEMENTS["colour"])
        yield template.format(noun=first.noun, x=first.colour), template.format(noun=first.noun, x=second.colour)
    if first.size != second.size:
        big, small = (first, second) if first.size == "big" else (second, first)
        form = draws.pick(("bigger", "smaller"))
        names = (big.noun, small.noun) if form == "bigger" else (small.noun, big.noun)
        yield _swapped(form, *names)


def _of_count(scene: Scene, draws: Draws) -> Iterator[Pair]:
    number, noun = len(scene.things), scene.things[0].noun
    template = draws.pick(STATEMENTS["number"])
    other = draws.pick([count for count in COUNTS if count != number])
    yield template.format(x=counted(number, noun)), template.format(x=counted(other, noun))
    yield from _other_noun(scene, draws, draws.pick(STATEMENTS["kind"]), plural)


def _of_tally(scene: Scene, draws: Draws) -> Iterator[Pair]:
    for many, few in combinations(kinds_of(scene), 2):
        names = [f"{colour} {plural(noun)}" for colour, noun, _ in (many, few)]
        yield _swapped(draws.pick(("more", "fewer")), *names)
        (colour, noun, number), (_, _, other) = draws.shuffled((many, few))
        template = draws.pick(STATEMENTS["number"])
        yield (
            template.format(x=number_words(colour, noun, number)),
            template.format(x=number_words(colour, noun, other)),
        )


def _of_rank(scene: Scene, draws: Draws) -> Iterator[Pair]:
    noun = scene.things[0].noun
    ranked = [thing for thing in scene.things if thing.noun == noun]
    big, small = (thing.colour for thing in (ranked[0], ranked[-1]))
    for form, true, false in (("biggest", big, small), ("smallest", small, big)):
        template = STATEMENTS[form][0]
        yield template.format(noun=noun, x=true), template.format(noun=noun, x=false)
    larger, lesser = draws.pick(list(combinations(ranked, 2)))
    yield _swapped("bigger", f"{larger.colour} {noun}", f"{lesser.colour} {noun}")
    template = draws.pick(STATEMENTS["number"])
    yield (
        template.format(x=counted(len(ranked), noun)),
        template.format(x=counted(7 - len(ranked), noun)),  # three, where it is four, and the reverse
    )


def _other_noun(scene: Scene, draws: Draws, template: str, words: Callable[[str], str]) -> Iterator[Pair]:
    """Yield a noun of the scene against one that might have stood in its place, if there is one."""
    noun = draws.pick(scene.nouns)
    if other := Choice(scene.split, scene.part).replacement(draws, scene.nouns, noun):
        yield template.format(x=words(noun)), template.format(x=words(other))


def _between(draws: Draws, first: str, middle: str, last: str) -> Pair:
    template = STATEMENTS["between"][0]
    y, z = draws.shuffled((first, last))
    return template.format(x=middle, y=y, z=z), template.format(x=y, y=middle, z=z)


def _swapped(form: str, x: str, y: str) -> Pair:
    template = STATEMENTS[form][0]
    return template.format(x=x, y=y), template.format(x=y, y=x)
