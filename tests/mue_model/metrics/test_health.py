from __future__ import annotations

import pytest

from mue_model.metrics.health import Health, repeats


@pytest.mark.parametrize(
    ("caption", "repeating"),
    [
        ("a cat and a dog", False),
        ("the the cat", True),
        ("a cat a cat sat", True),
        ("a red cat a red cat", True),
        ("one two three four and one two three four", True),
        ("one two three and one two three", False),
        ("one one", True),
        ("one", False),
        ("", False),
    ],
)
def test_repetition(caption: str, repeating: bool) -> None:
    assert repeats(caption.split()) is repeating


def test_faults_are_counted_over_a_stream() -> None:
    health = Health()
    for caption, truncated in [("a cat", False), ("", True), ("the the", False), ("a cat", False), ("b", True)]:
        health.add(caption.split(), truncated=truncated)
    report = health.report()
    assert report is not None
    assert (report.captions, report.empty, report.truncated, report.repeating) == (5, 1, 2, 1)
    assert (report.distinct, report.duplicate_rate) == (4, pytest.approx(1 / 5))
    assert (report.commonest, report.commonest_rows) == ("a cat", 2)


def test_lengths_are_in_words() -> None:
    health = Health()
    for length in range(1, 101):
        health.add([str(number) for number in range(length)], truncated=False)
    report = health.report()
    assert report is not None
    assert (report.length_min, report.length_median, report.length_p95, report.length_max) == (1, 50, 95, 100)
    assert report.length_mean == 50.5


def test_no_caption_has_no_health() -> None:
    assert Health().report() is None
