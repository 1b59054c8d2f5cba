"""Streams' memory, projected to where attention reads it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from mue_model.engine.streams import Shape, StreamStore
from mue_model.model import MueModel

SmallModel = Callable[..., MueModel]
LAYER = 1


def store_with(model: MueModel, lengths: list[int]) -> tuple[StreamStore, np.ndarray]:
    """Text streams of noise."""
    store = StreamStore(model, "text", 4)
    lanes = [store.open_lane(Shape(None, length))[0] for length in lengths]
    slots = np.array([store.take(lane) for lane in lanes])
    generator = torch.Generator().manual_seed(1)
    for slot, length in zip(slots, lengths, strict=True):
        noise = torch.randn(1, length, model.config.d_model, generator=generator, dtype=store.states.dtype)
        store.write(np.array([slot]), noise)
    return store, slots


def test_each_streams_keys_and_values_lie_where_its_segment_says(small_model: SmallModel) -> None:
    model, lengths = small_model(streams="decomposed"), [5, 20, 5, 16]
    store, slots = store_with(model, lengths)
    with torch.inference_mode():
        store.bring(LAYER, slots[[2, 0, 1]])
        store.bring(LAYER, slots)  # the fourth alone is fresh
        part = store.segment(LAYER, slots)
        for row, (slot, length) in enumerate(zip(slots.tolist(), lengths, strict=True)):
            memory = store.read(np.array([slot]), length)
            keys, values = model.decoder_layer(LAYER).cross_keys_values(memory)
            place = part.places[row]
            found = part.keys[place].unflatten(0, (keys.shape[1], -1)).transpose(1, 2)
            torch.testing.assert_close(found[:, :length], keys[0], rtol=0, atol=1e-12)
            torch.testing.assert_close(part.values[place][:, :length], values[0], rtol=0, atol=1e-12)
    assert len(set(part.places.tolist())) == len(slots)


def test_what_a_longer_stream_left_behind_is_wiped(small_model: SmallModel) -> None:
    model = small_model(streams="decomposed")
    store, slots = store_with(model, [20, 5])
    with torch.inference_mode():
        store.bring(LAYER, slots[:1])
        place = store.segment(LAYER, slots[:1]).places[0]
        store.segment(LAYER, slots[:1]).keys[place] = float("nan")
        store.segment(LAYER, slots[:1]).values[place] = float("nan")
        store.release(int(slots[0]))
        store.bring(LAYER, slots[1:])
        part = store.segment(LAYER, slots[1:])
    assert part.places[0] == place
    assert not part.keys[place, :, 5:].any()
    assert not part.values[place, :, 5:].any()
