from __future__ import annotations

import pytest

from mue_model.metrics.exact_match import exact_match


def test_any_reference_word_for_word() -> None:
    assert exact_match(["a", "cat"], [["a", "dog"], ["a", "cat"]])
    assert exact_match(("a", "cat"), [["a", "cat"]])
    assert not exact_match(["a", "cat"], [["a", "cat", "sat"], ["cat", "a"]])
    assert not exact_match([], [["a"]])


def test_no_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        exact_match(["a"], [])
