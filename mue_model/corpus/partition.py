"""Which nouns, noun pairs and backgrounds a split shows. Nothing here depends on the seed.

So a model trained on one seed may be tested on another: what is new to it stays new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Literal

from mue_model.corpus.draws import Draws
from mue_model.corpus.nouns import GROUP_OF, NOUNS, SEEN_GROUPS, UNSEEN_GROUPS, UNSEEN_NOUNS
from mue_model.corpus.settings import Split

Part = Literal["seen", "new_pairs", "new_nouns"]
"""`seen`: each noun and noun pair occurs in training, in other scenes. `new_pairs`: at least one pair of nouns in the
scene never does. `new_nouns`: none of the nouns does."""

_PARTS: dict[Split, tuple[Part, ...]] = {
    "train": ("seen",),
    "val": ("seen",) * 7 + ("new_pairs",) * 3,
    "test": ("seen",) * 7 + ("new_pairs",) * 2 + ("new_nouns",),
}
SEEN_NOUNS = tuple(word for word in NOUNS if word not in UNSEEN_NOUNS)
_UNSEEN_NOUNS = tuple(word for word in NOUNS if word in UNSEEN_NOUNS)
_TRIES = 500
"""Draws after which no noun fits; far more than any scene with one that does needs."""
PALETTES = 30
"""Background palettes in all; `palettes_of` shares them out."""


def part_of(split: Split, turn: int, *, pairs: bool) -> Part:
    """Return the part of the `turn`-th row of a level; scenes of one noun (`pairs` False) have no new pairs."""
    part = _PARTS[split][turn % len(_PARTS[split])]
    return "seen" if part == "new_pairs" and not pairs else part


def palettes_of(split: Split) -> tuple[int, ...]:
    """Return the background palettes of a split; no other split has them."""
    owners: tuple[Split, ...] = ("train", "train", "test", "train", "val", "train", "train", "test", "train", "train")
    return tuple(palette for palette in range(PALETTES) if owners[palette % 10] == split)


@cache
def pair_owner(first: str, second: str) -> Split:
    """Return the split that a pair of different seen nouns is new to, or `train` if it may occur in all."""
    text = " ".join(sorted((first, second)))
    share = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 20
    return "test" if share < 2 else "val" if share < 3 else "train"


@dataclass(frozen=True, slots=True)
class Choice:
    """The nouns that the scenes of one part of one split may show together."""

    split: Split
    part: Part

    @property
    def nouns(self) -> tuple[str, ...]:
        """Every noun that may occur."""
        return _UNSEEN_NOUNS if self.part == "new_nouns" else SEEN_NOUNS

    def allows(self, nouns: Sequence[str]) -> bool:
        """Say whether these different nouns may stand in one scene."""
        if self.part == "new_nouns":
            return UNSEEN_NOUNS.issuperset(nouns)
        owners = {pair_owner(first, second) for first, second in combinations(nouns, 2)}
        if self.part == "seen":
            return owners <= {"train"} and UNSEEN_NOUNS.isdisjoint(nouns)
        return self.split in owners and owners <= {"train", self.split}

    def draw(self, draws: Draws, count: int, *, look_alikes: int = 0) -> list[str]:
        """Return different nouns in random order, `look_alikes` of them from one group."""
        groups = UNSEEN_GROUPS if self.part == "new_nouns" else SEEN_GROUPS
        while True:
            group = draws.pick(groups) if look_alikes else ()
            if len(group) < look_alikes:
                continue
            alike = draws.sample(group, look_alikes)
            others = draws.sample([noun for noun in self.nouns if noun not in group], count - look_alikes)
            if self.allows(nouns := draws.shuffled(alike + others)):
                return nouns

    def replacement(self, draws: Draws, nouns: Sequence[str], noun: str) -> str | None:
        """Return a noun that is not in the scene and might have stood in place of `noun`; None if there is none.

        As likely as the way back, whatever the noun: look-alikes give way to look-alikes only, other nouns to other
        ones. So over a corpus each noun is named in vain as often as rightly.
        """
        rest = [other for other in nouns if other != noun]
        group = GROUP_OF.get(noun, ())
        if not set(group).isdisjoint(rest) or (group and draws.chance(0.5)):
            fitting = [option for option in group if option not in nouns and self.allows([*rest, option])]
            return draws.pick(fitting) if fitting else None
        taken = {alike for other in rest for alike in GROUP_OF.get(other, ())}
        for _ in range(_TRIES):
            option = draws.pick(self.nouns)
            if (option in GROUP_OF) != bool(group) or option in nouns or option in taken:
                continue
            if self.allows([*rest, option]):
                return option
        return None
