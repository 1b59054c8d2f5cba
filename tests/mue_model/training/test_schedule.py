from __future__ import annotations

import pytest

from mue_model.training.schedule import FLOOR, learning_rate


def rates(steps: int, warmup_steps: int) -> list[float]:
    return [learning_rate(step, steps=steps, peak=2.0, warmup_steps=warmup_steps) for step in range(steps)]


def test_it_warms_up_along_a_line_and_decays_along_a_cosine() -> None:
    found = rates(110, 10)
    assert found[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert max(found) == found[10] == 2.0
    assert found[60] == pytest.approx(2 * (FLOOR + (1 - FLOOR) / 2))
    assert found[10:] == sorted(found[10:], reverse=True)
    assert found[-1] == pytest.approx(2 * FLOOR, rel=0.1)


def test_without_warm_up_it_begins_at_the_peak() -> None:
    assert rates(5, 0)[0] == 2.0


def test_a_run_shorter_than_its_warm_up_has_rates() -> None:
    assert rates(3, 10) == pytest.approx([0.2, 0.4, 0.6])
    assert learning_rate(10, steps=3, peak=2.0, warmup_steps=10) == 2.0
