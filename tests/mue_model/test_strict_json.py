"""JSON in which a key that is there twice is an error, at any depth."""

from __future__ import annotations

import pytest

from mue_model.strict_json import strict_json


def test_what_is_said_once_is_read() -> None:
    assert strict_json('{"a": [{"b": 1}, {"b": 2}]}') == {"a": [{"b": 1}, {"b": 2}]}


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 1}', '[{"x": {"a": 1, "a": 2}}]'])
def test_a_key_that_is_there_twice_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="the key 'a' is given twice; keep one"):
        strict_json(text)
