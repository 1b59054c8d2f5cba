"""Layers are cut where a row may leave, and nowhere else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mue_model.engine.stretches import Stretch, checked_at, stretches_of
from mue_model.exits import CosineExit, NeverExit, PublishedSchedule


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=8))
def test_stretches_are_all_layers_in_order_and_end_at_every_check(checked: list[list[bool]]) -> None:
    found = stretches_of(np.array(checked))
    assert [layer for stretch in found for layer in range(*stretch)] == list(range(len(checked)))
    ends = {layer + 1 for layer, steps in enumerate(checked[:-1]) if any(steps)} | {len(checked)}
    assert {stretch.end for stretch in found} == ends


def test_where_nothing_is_checked_all_layers_run_in_one_go() -> None:
    assert stretches_of(checked_at(NeverExit(), "image", 6)) == (Stretch(0, 6),)


def test_a_threshold_of_one_is_no_place_to_leave_and_the_last_layer_never_asks() -> None:
    checked = checked_at(CosineExit({"image": (1.0, 0.9, 1.0, 0.5)}), "image", 4)
    assert checked[:, 0].tolist() == [False, True, False, False]
    assert stretches_of(checked) == (Stretch(0, 2), Stretch(2, 4))


def test_a_schedule_may_ask_at_some_steps_only() -> None:
    exits = CosineExit({"decoder": (0.9, 1.0, 0.9)}, PublishedSchedule(6))
    checked = checked_at(exits, "decoder", 3, steps=6)
    assert checked.tolist() == [[False] * 2 + [True] * 4, [False] * 6, [False] * 6]
    assert stretches_of(checked) == (Stretch(0, 1), Stretch(1, 3))
