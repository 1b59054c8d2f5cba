"""Slots are given out once at a time; what grows keeps what it held."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mue_model.engine.slots import Slots, grown, grown_array


@given(st.lists(st.booleans(), max_size=60))
def test_no_slot_has_two_owners(takes: list[bool]) -> None:
    slots, owned = Slots(), list[int]()
    for take in takes:
        if not take:
            if owned:
                slots.give_back(owned.pop(len(owned) // 2))
            continue
        slot = slots.take()
        if slot is None:
            assert len(owned) == slots.capacity
            slots.extend(2 * slots.capacity + 1)
            slot = slots.take()
        assert slot is not None
        assert slot not in owned
        owned.append(slot)
        assert slots.taken == len(owned)
    assert all(slot < slots.capacity for slot in owned)


def test_the_lowest_slots_come_first() -> None:
    slots = Slots()
    slots.extend(3)
    assert [slots.take() for _ in range(4)] == [0, 1, 2, None]


def test_grown_tensors_and_arrays_begin_as_they_were() -> None:
    tensor = torch.arange(6.0).view(2, 3)
    larger = grown(tensor, (4, 5))
    assert torch.equal(larger[:2, :3], tensor)
    assert larger.sum() == tensor.sum()
    array = grown_array(np.arange(3), (5,), fill=-1)
    assert array.tolist() == [0, 1, 2, -1, -1]
