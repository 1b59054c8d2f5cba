from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mue_model.config import ConfigError
from pipeline.row_field import EVERY, Entry, RowField

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


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ve[*].hypothesis", "json:ve[*].hypothesis"),
        ("json:ve[].hypothesis", "json:ve[*].hypothesis"),
        ("json:ve.*.hypothesis", "json:ve[*].hypothesis"),
        ("json:ve.[*].hypothesis", "json:ve[*].hypothesis"),
        ("json:ve[*.hypothesis", "json:ve[*].hypothesis"),
        ("json:ve/0", "json:ve.0"),
        ("json:.caption", "json:caption"),
        ("json:a..b", "json:a.b"),
        (".txt", "txt"),
        (" txt", "txt"),
        ("txt:", "txt"),
        ("$.ve[0].label", "json:ve[0].label"),
    ],
)
def test_the_nearest_form_is_named_and_can_be_read(text: str, meant: str) -> None:
    with pytest.raises(ConfigError, match="did you mean") as error:
        RowField.parse(text)
    assert str(error.value).endswith(f"did you mean '{meant}'?")
    RowField.parse(meant)


def test_several_values_only_where_a_list_is_gone_through() -> None:
    assert RowField.parse("json:ve[*].label").several
    assert not RowField.parse("json:ve[0].label").several
    assert not RowField.parse("txt").several


def test_entries_keep_their_place_also_where_there_is_none() -> None:
    members = {"json": {"ve": [{"h": "a"}, {"g": "b"}, 3, {"h": None}]}}
    assert RowField.parse("json:ve[*].h").entries(members) == [
        Entry((0,), "a"),
        Entry((1,), problem="ve[1] has no 'h', only g"),
        Entry((2,), problem="ve[2] is a number, not an object with 'h'"),
        Entry((3,), None),
    ]
    nested = {"json": [{"b": [1, 2]}, {"b": []}, {"b": 7}]}
    assert RowField.parse("json:[*].b[*]").entries(nested) == [
        Entry((0, 0), 1),
        Entry((0, 1), 2),
        Entry((2,), problem="[2].b is a number, not a list"),
    ]


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("json:nothing[*].x", "the member has no 'nothing', only captions, level, url, ve, deep"),
        ("json:ve.label", "ve is a list, not an object with 'label'"),
        ("json:ve[7].label", "ve has 3 entries, none at [7]"),
        ("json:level[*]", "level is a number, not a list"),
        ("json:deep[0]", "deep is an object, not a list"),
        ("other.json:a", "the row has no member 'other.json', only txt, json, seg.json, big.json"),
        ("big.json:n", "the member 'big.json' was too large to come along: 70,000 bytes"),
        ("txt:a", "the member 'txt' is a text, or JSON that is broken or too deep"),
        ("offset", "the row has no member 'offset', only txt, json, seg.json, big.json"),
    ],
)
def test_a_path_that_breaks_off_is_one_entry_that_says_where(field: str, problem: str) -> None:
    assert RowField.parse(field).entries(MEMBERS) == [Entry((), problem=problem)]


def test_only_an_empty_list_gives_nothing() -> None:
    assert RowField.parse("json:ve[*].label").entries({"json": {"ve": []}}) == []
    assert RowField.parse("json:ve[*]").entries({"json": {"ve": [[]]}}) == [Entry((0,), [])]


KEYS = st.text(st.characters(exclude_characters=".[]/", exclude_categories=("Cs", "Cc", "Zs")), min_size=1, max_size=4)
KEYS = KEYS.filter(lambda key: key != EVERY)
STEPS = st.lists(st.one_of(KEYS, st.integers(0, 3), st.just(EVERY)), min_size=1, max_size=5)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


def path_of(steps: list[str | int]) -> str:
    """The steps as a user writes them; a key that is a number is still a key."""
    return "".join(f"[{step}]" if isinstance(step, int) or step == EVERY else f".{step}" for step in steps).lstrip(".")


@settings(deadline=None)
@given(STEPS)
def test_what_is_written_is_read(steps: list[str | int]) -> None:
    assert RowField.parse(f"json:{path_of(steps)}").steps == tuple(steps)


@settings(deadline=None)
@given(STEPS, JSON)
def test_any_document_gives_entries_and_never_raises(steps: list[str | int], document: Any) -> None:
    entries = RowField.parse(f"json:{path_of(steps)}").entries({"json": document})
    assert len({entry.index for entry in entries}) == len(entries), "no two entries in one place"
    assert [entry.index for entry in entries] == sorted(entry.index for entry in entries)
    for entry in entries:
        assert len(entry.index) <= steps.count(EVERY)
        if entry.problem is None:
            assert found_by_hand(document, steps, list(entry.index)) == entry.value
        else:
            assert entry.value is None
            assert len(entry.problem) < 600


def found_by_hand(value: Any, steps: list[str | int], index: list[int]) -> Any:
    for step in steps:
        value = value[index.pop(0) if step == EVERY else step]
    return value


@settings(deadline=None)
@given(st.text(max_size=20))
@example("json:ve[*]")
def test_any_text_is_a_field_or_a_mistake_that_names_it(text: str) -> None:
    try:
        field = RowField.parse(text, option="--by")
    except ConfigError as error:
        said = str(error)
    else:
        said = f"--by '{text}': "
        assert field.text == text
        assert isinstance(field.entries(MEMBERS), list)
    assert said.startswith(f"--by '{text}': ")
