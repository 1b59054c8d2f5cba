"""meta_json is bounded, valid JSON and valid UTF-8, whatever the members hold."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.passthrough import MAX_NESTING, META_LIMIT_BYTES, Passthrough


def strict(text: str) -> dict[str, Any]:
    """Parse JSON, refusing NaN, infinities and repeated names."""

    def refuse(value: object) -> None:
        raise AssertionError(value)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    text.encode("utf-8")
    parsed: dict[str, Any] = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    return parsed


def meta(**members: bytes) -> dict[str, Any]:
    passthrough = Passthrough()
    for suffix, data in members.items():
        passthrough.add(suffix, data)
    return strict(passthrough.to_json("jpg", 7))


@pytest.mark.parametrize(
    ("suffix", "data", "value"),
    [
        ("txt", "zwei Köche\n".encode(), "zwei Köche\n"),
        ("txt", b"caf\xe9", "caf\\xe9"),
        ("txt", b"\xef\xbb\xbfmark", "mark"),
        ("txt", b"", ""),
        ("cls", b"3", "3"),
        ("cls", b"\x03\x00", {"bytes": 2}),
        ("npy", b"\x93NUMPY", {"bytes": 6}),
        ("json", b'{"a": [1, 2.5, null], "b": "\xc3\xbc"}', {"a": [1, 2.5, None], "b": "ü"}),
        ("json", b"\xef\xbb\xbf[1]", [1]),
        ("info.json", b"[1]", [1]),
        ("json", b"{broken", "{broken"),
        ("json", b"", ""),
        ("json", b"null", None),
        ("json", b"[NaN, -Infinity, 1e999]", ["NaN", "-Infinity", "1e999"]),
        ("json", b'"\\ud800x\\ud83d\\ude00"', "\ufffdx\U0001f600"),
        ("json", b"9" * 5000, "9" * 5000),
        ("json", b"[" * 20000, "[" * 20000),
        ("json", b"[" * 20000 + b"]" * 20000, "[" * 20000 + "]" * 20000),
    ],
    ids=range(18),
)
def test_values(suffix: str, data: bytes, value: object) -> None:
    assert meta(**{suffix: data}) == {"image_suffix": "jpg", "offset": 7, suffix: value}


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}"), ('[{"a": ', "}]")])
def test_what_was_taken_as_json_can_be_parsed_anywhere(opening: str, closing: str) -> None:
    """Decode tasks and reports have less of the stack left than the reader had."""

    def parsed_below(frames: int, text: str) -> dict[str, Any]:
        return parsed_below(frames - 1, text) if frames else strict(text)

    kinds = set()
    levels = len(closing)
    for times in (1, *range(MAX_NESTING // levels - 1, MAX_NESTING // levels + 2), *range(400, 1000, 10)):
        document = opening * times + "1" + closing * times
        passthrough = Passthrough()
        passthrough.add("json", document.encode())
        value = parsed_below(500, passthrough.to_json("jpg", 0))["json"]
        assert value == (json.loads(document) if times * levels <= MAX_NESTING else document)
        kinds.add(type(value))
    assert kinds == {str, type(json.loads(opening + "1" + closing))}


def test_large_values_are_replaced_and_small_ones_after_them_kept() -> None:
    found = meta(txt=b"x" * (META_LIMIT_BYTES + 1), json=b"[1]")
    assert found["txt"] == {"omitted_bytes": META_LIMIT_BYTES + 1}
    assert found["json"] == [1]
    # Escapes and other encodings count as they are written, not as they were read.
    assert meta(txt=b"\n" * 40000)["txt"] == {"omitted_bytes": 40000}


def test_very_many_members_stay_within_the_limit() -> None:
    passthrough = Passthrough()
    for i in range(20000):
        passthrough.add(f"{i}.txt", b"x" * 10)
    text = passthrough.to_json(None, 0)
    assert len(text.encode()) < 2 * META_LIMIT_BYTES
    found = strict(text)
    assert found["omitted_members"] + len(found) - 3 == 20000


def test_our_own_names_are_not_overwritten() -> None:
    found = meta(offset=b"1", image_suffix=b"2", omitted_members=b"3")
    assert found == {"image_suffix": "jpg", "offset": 7, ".offset": "1", ".image_suffix": "2", ".omitted_members": "3"}


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["txt", "json", "cls", "offset", ".offset", '"', ""]), st.binary(max_size=40)))
def test_any_bytes_give_valid_json(members: dict[str, bytes]) -> None:
    assert len(meta(**members)) == len(members) + 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=6))
def test_any_value_of_a_column_is_strict_json_within_the_limit(columns: dict[str, Any]) -> None:
    fields = Passthrough(limit_bytes=200)
    for name, value in columns.items():
        fields.add_value(name, value)
    text = fields.to_json("jpg", 3)
    found = strict(text)
    assert (found["image_suffix"], found["offset"]) == ("jpg", 3)
    assert len(text.encode()) < 200 + 100 + 6 * len(columns)


def test_column_values_as_they_pass() -> None:
    fields = Passthrough()
    for name, value in {
        "a": 1.5, "b": float("inf"), "c": [None, {"d": b"xyz"}], "offset": True, "when": datetime.date(2026, 1, 2),
        "half": "\ud800", "long": "w" * META_LIMIT_BYTES,
    }.items():  # fmt: skip
        fields.add_value(name, value)
    assert strict(fields.to_json(None, 0)) == {
        "image_suffix": None, "offset": 0, "a": 1.5, "b": "inf", "c": [None, {"d": {"bytes": 3}}], ".offset": True,
        "when": "2026-01-02", "half": "\ufffd", "long": {"omitted_bytes": META_LIMIT_BYTES + 2},
    }  # fmt: skip
