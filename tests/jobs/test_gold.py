"""What is right stands beside the query that it belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.gold import Gold
from pipeline.row_field import RowField

MEMBERS: dict[str, Any] = {
    "cls": "a cat",
    "json": {
        "ve": [
            {"h": "a", "label": "neutral"},
            {"h": "b"},
            {"label": "entailment"},
            {"h": "d", "label": "contradiction"},
        ],
        "labels": ["one", "two"],
        "level": 3,
        "vqa": [
            {"q": "x", "answers": [{"answer": "red"}, {"answer": "blue"}]},
            {"q": "y", "answers": []},
            {"q": "z", "answers": [{"answer": "green"}]},
        ],
        "pages": [
            {"vqa": [{"q": "a", "answer": "1"}, {"q": "b", "answer": "2"}]},
            {"vqa": [{"q": "c", "answer": "3"}]},
        ],
    },
}


@pytest.mark.parametrize(
    ("label", "asked", "found"),
    [
        ("json:ve[*].label", "json:ve[*].h", [["neutral"], [], ["entailment"], ["contradiction"]]),
        ("json:labels[*]", "json:ve[*].h", [["one"], ["two"], [], []]),
        ("json:vqa[*].answers[*].answer", "json:vqa[*].q", [["red", "blue"], [], ["green"]]),
        ("json:pages[*].vqa[*].answer", "json:pages[*].vqa[*].q", [["1"], ["2"], ["3"]]),
        ("json:labels", "txt", [[["one", "two"]]]),
        ("cls", "json:ve[*].h", [["a cat"]] * 4),
        ("json:labels[*]", None, [["one", "two"]]),
        ("json:nothing", "json:ve[*].h", [[]] * 4),
    ],
)
def test_entries_at_the_same_place_belong_together(label: str, asked: str | None, found: list[Any]) -> None:
    gold = Gold(RowField.parse(label), RowField.parse(asked) if asked else None)
    assert [gold.of(MEMBERS, query) for query in range(len(found))] == found
    assert gold.of(MEMBERS, len(found)) == []


def test_another_image_has_gold_of_its_own() -> None:
    gold = Gold(RowField.parse("json:ve[*].label"), RowField.parse("json:ve[*].h"))
    other = {"json": {"ve": [{"h": "z", "label": "entailment"}]}}
    assert [gold.of(members, 0) for members in (MEMBERS, other, MEMBERS)] == [["neutral"], ["entailment"], ["neutral"]]
