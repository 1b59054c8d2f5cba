"""Scenes of every level, drawn once, and a small corpus on disk."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mue_model.corpus.families import scene_of
from mue_model.corpus.grammar import NUMBERS, plural
from mue_model.corpus.nouns import NOUNS
from mue_model.corpus.scene import Scene
from mue_model.corpus.settings import SPLITS, CorpusSettings
from mue_model.corpus.write import draw_corpus

SCENES = {"train": 1500, "val": 500, "test": 500}


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """Scenes of all splits, levels and parts; nothing is painted."""
    settings = CorpusSettings()
    return [scene_of(settings, split, number) for split in SPLITS for number in range(SCENES[split])]


@pytest.fixture(scope="session")
def small() -> CorpusSettings:
    """Five shards in all, the last of train and the only one of test not full."""
    return CorpusSettings(rows=65, val=20, test=15, size=96, rows_per_shard=30)


@pytest.fixture(scope="session")
def drawn(small: CorpusSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus, drawn in this process; not to be changed."""
    folder = tmp_path_factory.mktemp("corpus") / "drawn"
    draw_corpus(folder, small)
    return folder


@pytest.fixture(scope="session")
def documents(drawn: Path) -> list[dict[str, Any]]:
    """The JSON documents of all rows of the small corpus."""

    def read() -> Iterator[dict[str, Any]]:
        for tar in sorted(drawn.glob("*/*.tar")):
            with tarfile.open(tar) as archive:
                for member in archive:
                    if member.name.endswith(".json"):
                        content = archive.extractfile(member)
                        assert content is not None
                        yield json.load(content)

    return list(read())


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """sha256 of every file under a folder, by its relative path."""
    return lambda folder: {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


_SINGULAR = {plural(noun): noun for noun in NOUNS}
Objects = list[dict[str, Any]]


class Judge:
    """Reads English about a picture and says whether it is true; knows only the objects in the JSON."""

    def __init__(self, objects: Objects, width: int = 96) -> None:
        self.objects, self.width = objects, width

    def holds(self, text: str) -> bool:
        """Say whether a statement of the kinds in `phrases.STATEMENTS` is true."""
        for pattern, check in self._CHECKS.items():
            if match := re.fullmatch(pattern, text):
                return bool(getattr(self, check)(*match.groups()))
        raise ValueError(f"not understood: {text}")

    def find(self, name: str) -> Objects:
        """Return the objects that "small red dog", "red dogs" or "an orange fox" name."""
        *looks, noun = [word for word in name.split() if word not in ("a", "an", "the")]
        noun = _SINGULAR.get(noun, noun)
        return [
            one for one in self.objects if one["noun"] == noun and all(w in (one["color"], one["size"]) for w in looks)
        ]

    def the(self, name: str) -> dict[str, Any]:
        """Return the only object that the words name."""
        (found,) = self.find(name)
        return found

    def related(self, first: str, relation: str, second: str) -> bool:
        """Compare the middles of the boxes; "front": boxes meet, and the first was painted later."""
        one, other = self.the(first), self.the(second)
        dx, dy = (_middle(other["box"])[axis] - _middle(one["box"])[axis] for axis in (0, 1))
        if relation == "in front of":
            later = self.objects.index(one) < self.objects.index(other)
            return later and other["visible"] < 0.95 and _meet(one["box"], other["box"])
        return {
            "left of": dx > abs(dy),
            "right of": -dx > abs(dy),
            "above": dy > abs(dx),
            "below": -dy > abs(dx),
        }[relation]

    def towards(self, first: str, relation: str, second: str) -> bool:
        """Say whether the first lies off in this direction at all, aslant or not."""
        if relation == "in front of":
            return self.related(first, relation, second)
        (x, y), (a, b) = (_middle(self.the(name)["box"]) for name in (first, second))
        return {"left of": a - x, "right of": x - a, "above": b - y, "below": y - b}[relation] > 0.15 * self.width

    def behind(self, first: str, second: str) -> bool:
        return self.related(second, "in front of", first)

    def some(self, name: str) -> bool:
        return bool(self.find(name))

    def all_are(self, name: str) -> bool:
        return self.find(name) == self.objects

    def counts(self, number: str, name: str) -> bool:
        return len(self.find(name)) == NUMBERS.index(number)

    def coloured(self, name: str, colour: str) -> bool:
        return bool(self.the(name)["color"] == colour)

    def color_of(self, name: str, colour: str) -> bool:
        return self.coloured(name, colour)

    def between(self, name: str, first: str, second: str) -> bool:
        (x, y), *ends = (_middle(self.the(each)["box"]) for each in (name, first, second))
        (left, right), (top, bottom) = (sorted(end[axis] for end in ends) for axis in (0, 1))
        return left < x < right if right - left > bottom - top else top < y < bottom

    def bigger(self, first: str, second: str) -> bool:
        return _side(self.the(first)["box"]) > _side(self.the(second)["box"])

    def smaller(self, first: str, second: str) -> bool:
        return _side(self.the(first)["box"]) < _side(self.the(second)["box"])

    def more(self, first: str, second: str) -> bool:
        return len(self.find(first)) > len(self.find(second))

    def fewer(self, first: str, second: str) -> bool:
        return len(self.find(first)) < len(self.find(second))

    def extreme(self, which: str, name: str, colour: str) -> bool:
        ranked = sorted(self.find(name), key=lambda one: _side(one["box"]))
        return bool(ranked[-1 if which == "biggest" else 0]["color"] == colour)

    _CHECKS = {  # noqa: RUF012
        r"(?:there is|this is a picture of) (an? \w+)": "some",
        r"(?:there are|the picture shows) some (\w+)": "some",
        r"(?:the things|all things here) are (\w+)": "all_are",
        r"(?:there are|the picture shows) (\w+) ((?:\w+ )?\w+)": "counts",
        r"the (\w+) is (\w+)": "coloured",
        r"the color of the (\w+) is (\w+)": "color_of",
        r"the (\w+) is (left of|right of|above|below|in front of) the (\w+)": "related",
        r"the (\w+) is behind the (\w+)": "behind",
        r"the ((?:\w+ )?\w+) is bigger than the ((?:\w+ )?\w+)": "bigger",
        r"the (\w+) is smaller than the (\w+)": "smaller",
        r"the (\w+) is between the (\w+) and the (\w+)": "between",
        r"there are more (\w+ \w+) than (\w+ \w+)": "more",
        r"there are fewer (\w+ \w+) than (\w+ \w+)": "fewer",
        r"the (biggest|smallest) (\w+) is (\w+)": "extreme",
    }


def _middle(box: list[int]) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _side(box: list[int]) -> int:
    return max(box[2] - box[0], box[3] - box[1])


def _meet(one: list[int], other: list[int]) -> bool:
    return all(one[axis] < other[axis + 2] and other[axis] < one[axis + 2] for axis in (0, 1))


@pytest.fixture(scope="session")
def judge() -> type[Judge]:
    """`judge(objects).holds(text)`: an opinion that shares no code with the captions."""
    return Judge
