"""Five captions of a scene, which follow from what is drawn and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from mue_model.corpus.grammar import counted
from mue_model.corpus.phrases import CAPTIONS
from mue_model.corpus.scene import Scene, Thing, relation


def captions_of(scene: Scene) -> tuple[str, ...]:
    """Return the reference for exact match and four paraphrases.

    The reference is the only one of its form that fits: things are named from left to right, from top to bottom, from
    the corner outwards, from the most numerous on, or from the front to the back.
    """
    words = _words(scene)
    return tuple(template.format(**words) for template in CAPTIONS[scene.family])


def kinds_of(scene: Scene) -> list[tuple[str | None, str, int]]:
    """Return colour, noun and number of each kind of thing, in order of first appearance."""
    numbers: dict[tuple[str | None, str], int] = {}
    for thing in scene.things:
        kind = (thing.colour, thing.noun)
        numbers[kind] = numbers.get(kind, 0) + 1
    return [(colour, noun, number) for (colour, noun), number in numbers.items()]


def number_words(colour: str | None, noun: str, number: int) -> str:
    """Return a kind in words, as in "five red dogs"."""
    value, _, rest = counted(number, noun).partition(" ")
    return f"{value} {colour} {rest}" if colour else f"{value} {rest}"


def place(first: Thing, second: Thing) -> str:
    """Return how the first lies to the second, of which the scene must leave no doubt."""
    found = relation(first, second)
    assert found is not None, (first, second)
    return found


def _words(scene: Scene) -> dict[str, str]:
    """Return what the placeholders of the scene's captions stand for."""
    things = scene.things
    if scene.family in ("count", "tally"):
        kinds = [number_words(*kind) for kind in kinds_of(scene)]
        return {"all": _listed(kinds), "reversed": _listed(kinds[::-1])}
    if scene.family == "rank":
        ranked = [thing for thing in things if thing.noun == things[0].noun]
        ends = {"most": str(ranked[0].colour), "least": str(ranked[-1].colour)}
        return {"all": counted(len(ranked), things[0].noun), **ends}
    if scene.family == "row":
        low, high = ("left", "right") if place(things[0], things[-1]) == "left of" else ("top", "bottom")
        names = [thing.words() for thing in things]
        return {"low": low, "high": high, "all": _listed(names), "reversed": _listed(names[::-1])}
    words = {name: thing.words() for name, thing in zip("abc", things, strict=False)}
    words |= {f"the_{name}": thing.words("the") for name, thing in zip("abc", things, strict=False)}
    if scene.family in ("pair", "corner"):
        words |= {"is_to_b": place(things[0], things[1]), "is_to_a": place(things[1], things[0])}
    if len(things) == 3:
        words |= {"is_to_c": place(things[0], things[2]), "c_is_to_a": place(things[2], things[0])}
    return words


def _listed(names: Sequence[str]) -> str:
    return " and ".join([" ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
