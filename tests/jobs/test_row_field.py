from __future__ import annotations

from typing import Any

import pytest

from jobs.row_field import RowField, described, texts_of
from mue_model.config import ConfigError

MEMBERS: dict[str, Any] = {
    "image_suffix": "jpg",
    "offset": 512,
    "txt": "a bear\n\n a brown bear \n",
    "json": {
        "captions": ["a bear", "", 3, "a brown bear"],
        "level": 4,
        "url": "http://x/" + "y" * 80,
        "ve": [{"label": "neutral"}, {"label": "entailment"}, {}],
        "deep": {"er": {"still": "a text\nof two lines"}},
    },
    "seg.json": {"n": 1},
    "big.json": {"omitted_bytes": 70000},
}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("json:level", [4]),
        ("json:deep.er.still", ["a text\nof two lines"]),
        ("json:ve[0].label", ["neutral"]),
        ("json:ve[*].label", ["neutral", "entailment"]),
        ("json:captions[3]", ["a brown bear"]),
        ("seg.json:n", [1]),
        ("json:captions[9]", []),
        ("json:level.x", []),
        ("json:ve.label", []),
        ("json:nothing", []),
        ("nothing", []),
        ("offset", []),
        ("big.json:n", []),
    ],
)
def test_values_are_found_by_keys_and_positions(field: str, values: list[Any]) -> None:
    assert RowField.parse(field, option="--by").values(MEMBERS) == values


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("json:captions", ["a bear", "a brown bear"]),
        ("json:captions[*]", ["a bear", "a brown bear"]),
        ("json:deep.er.still", ["a text\nof two lines"]),
        ("txt", ["a bear", " a brown bear "]),
        ("json:level", []),
        ("json:deep", []),
    ],
)
def test_texts_are_a_list_a_text_or_lines_and_never_blank(field: str, texts: list[str]) -> None:
    assert texts_of(RowField.parse(field, option="--references"), MEMBERS) == texts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a field such as json:captions or txt"),
        ("dir/refs", "expected a field such as json:captions or txt"),
        ("json", "a JSON member needs a path, as in json:captions"),
        ("json:", "a JSON member needs a path"),
        ("json:a[", "cannot read the path at '['"),
        ("json:a[x]", "cannot read the path at"),
        ("json:.a", "cannot read the path at '.a'"),
        ("json:a..b", "cannot read the path at '..b'"),
    ],
)
def test_a_field_that_cannot_be_read_is_said_with_its_option(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        RowField.parse(text, option="--by")
    assert said in str(error.value)
    assert f"--by '{text}'" in str(error.value)


def test_the_fields_of_a_row_are_named_as_they_are_asked_for() -> None:
    text = described(MEMBERS)
    for field in ("txt = ", "json:captions = [4 entries]", "json:level = 4", "seg.json:n = 1"):
        assert field in text
    assert "big.json (left out of the row: 70,000 bytes)" in text
    assert "y" * 60 not in text
    assert "offset" not in text
    assert "3 more" in described({"json": {str(n): n for n in range(33)}})
    assert described({"txt": "a", "json": {"refs": ["a", "b"]}}).startswith("json:refs = [2 texts], txt = ")
    assert described({"offset": 0}) == "none: the shards hold images alone"
