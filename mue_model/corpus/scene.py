"""What is in a picture, before it is drawn: the truth that captions, hypotheses and questions are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mue_model.corpus.grammar import with_article
from mue_model.corpus.partition import Part
from mue_model.corpus.settings import Split

Family = Literal["one", "count", "pair", "corner", "row", "tally", "rank", "overlap"]
"""How a scene is built and captioned; see `families`."""

CLEARLY_APART = 0.25
"""Distance of two centres along an axis, in sides of the picture, from which a relation along it may be stated."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One drawn object. Lengths are in sides of the picture, x to the right, y downwards."""

    noun: str
    picture: str
    """OpenMoji's file name without its suffix."""
    colour: str | None
    """None: the picture's own colours, and no caption speaks of one."""
    size: str | None
    """"big" or "small"; None: no caption speaks of it."""
    x: float
    """Centre of the square that the object is fitted into."""
    y: float
    side: float
    """Side of that square."""
    flip: bool
    angle: float
    """Degrees anticlockwise."""

    def words(self, article: str = "a") -> str:
        """Return the object in words, as in "a big red dog" or, with `article` "the", "the big red dog"."""
        plain = " ".join(word for word in (self.size, self.colour, self.noun) if word)
        return with_article(plain) if article == "a" else f"{article} {plain}"


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture to be. `things` are in the order in which the caption needs them; the first is painted last."""

    split: Split
    part: Part
    level: int
    family: Family
    things: tuple[Thing, ...]
    palette: int
    """Background palette, one of `palettes_of(split)`."""
    cluttered: bool

    @property
    def nouns(self) -> list[str]:
        """The different nouns, in order of first appearance."""
        return list(dict.fromkeys(thing.noun for thing in self.things))


def relation(first: Thing, second: Thing) -> str | None:
    """Return how the first lies to the second, along the axis on which they are further apart.

    None where they are not clearly apart, or where they are so along the other axis too.
    """
    x, y = second.x - first.x, second.y - first.y
    near, far = sorted((abs(x), abs(y)))
    if far < CLEARLY_APART or near >= CLEARLY_APART:
        return None
    if abs(x) > abs(y):
        return "left of" if x > 0 else "right of"
    return "above" if y > 0 else "below"
