from __future__ import annotations

import pytest

from jobs.report_words import gap, quantity, seconds, short


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (0.000123456, "0.000123"), (1234567.8, "1,234,568"), (45.0, "45"), (0.25, "0.25")]
)
def test_quantities_never_round_to_nothing(value: float, said: str) -> None:
    assert quantity(value) == said


def test_long_texts_are_cut_and_say_so() -> None:
    assert short(None) == ""
    assert short("a" * 300) == "a" * 300
    assert short("a" * 2000) == "a" * 300 + "… (2,000 characters)"


def test_durations() -> None:
    assert seconds(12.34) == "12.3 s"
    assert "1 h" in seconds(3700)


def _document(spared: float | None, ratio: float | None) -> dict[str, object]:
    time: dict[str, object] = {"measured": False, "reason": "no windows"}
    if ratio is not None:
        saved = {"low": 0.95 - ratio, "high": 1.05 - ratio}
        time = {"measured": True, "point_ratio": ratio, "saved_share": saved}
    return {"savings": {"a_same_length_flops": {"share_saved_by_early_exit": spared}, "c_time": time}}


def test_the_gap_goes_either_way() -> None:
    assert gap(_document(0.4, 0.7)).startswith("Time is spared less than arithmetic, by 10.0 points")
    assert gap(_document(0.3, 0.6)).startswith("Arithmetic is spared less than time, by 10.0 points")
    assert gap(_document(0.3, 0.7)) == "As much time was spared as arithmetic."
    assert gap(_document(0.3, None)) == "Arithmetic is not time: no windows."
    assert gap(_document(0.3, 0.98)).startswith("The windows are too few or too unsteady")
    assert "nothing to compare" in gap(_document(None, None))
