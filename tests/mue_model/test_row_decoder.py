"""The decoder of one row: `just_in_time` is exact, beams are rows of their own that leave together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mue_model.config import KvPolicy
from mue_model.exits import CosineExit, Depths, NeverExit, ScriptedExit
from mue_model.model import MueModel
from mue_model.reference import encode
from mue_model.row_decoder import EncodedRow, RowDecoder
from mue_model.rows import RowInput

IDS = (0, 9, 5, 12, 7, 3)


def encoded_row(model: MueModel, row: RowInput) -> EncodedRow:
    image = model.normalise(torch.from_numpy(row.pixels)[None])
    return encode(model, image, torch.tensor([row.prompt_ids]), NeverExit(), row.uid)


@settings(deadline=None, max_examples=25)
@given(depths=st.lists(st.integers(1, 4), min_size=5, max_size=5))
def test_just_in_time_gives_a_deep_token_what_full_depth_would(
    small_model: Any, make_rows: Any, depths: list[int]
) -> None:
    model, (row,) = small_model(), make_rows(1)
    encoded = encoded_row(model, row)
    exits = ScriptedExit({row.uid: Depths(1, 1, (*depths, 4))})
    early = RowDecoder(model, encoded, exits, "just_in_time", row.uid)
    full = RowDecoder(model, encoded, NeverExit(), "propagate", row.uid)
    for token in IDS:
        logits, expected = early.step(token), full.step(token)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    assert early.kv_fills == sum(4 - depth for depth in depths)


def test_the_policies_differ_where_a_token_goes_deeper(small_model: Any, make_rows: Any) -> None:
    model, (row,) = small_model(), make_rows(1)
    encoded, seen = encoded_row(model, row), []
    for kv_policy in ("propagate", "just_in_time", "holes"):
        exits = ScriptedExit({row.uid: Depths(1, 1, (1, 1, 4))})
        decoder = RowDecoder(model, encoded, exits, kv_policy, row.uid)  # type: ignore[arg-type]
        seen.append([decoder.step(token) for token in IDS[:3]][-1])
    assert min(float((a - b).abs().max()) for a, b in zip(seen, [*seen[1:], seen[0]], strict=True)) > 1e-3


@pytest.mark.parametrize("kv_policy", ["propagate", "just_in_time", "holes"])
def test_beams_are_the_texts_that_they_hold(small_model: Any, make_rows: Any, kv_policy: KvPolicy) -> None:
    model, (row,) = small_model(), make_rows(1)
    encoded = encoded_row(model, row)
    exits = ScriptedExit({row.uid: Depths(1, 1, (2, 1, 4, 1, 3))})
    together = RowDecoder(model, encoded, exits, kv_policy, row.uid, beams=3)
    together.step(0, 0, 0)
    together.step(9, 5, 7)
    together.reorder([2, 0, 2])  # the texts are now 7, 9, 7
    together.step(12, 3, 4)
    together.reorder([1, 1, 0])  # 9 3, 9 3, 7 12
    logits = together.step(8, 6, 6)
    for beam, text in enumerate([(0, 9, 3, 8), (0, 9, 3, 6), (0, 7, 12, 6)]):
        alone = RowDecoder(model, encoded, exits, kv_policy, row.uid)
        expected = [alone.step(token) for token in text][-1]
        torch.testing.assert_close(logits[beam], expected[0], rtol=0, atol=1e-12)


def test_beams_leave_together_by_their_states_as_one_vector(small_model: Any, make_rows: Any) -> None:
    model, (row,) = small_model(), make_rows(1)
    seen: list[tuple[int, ...]] = []

    class Watching(CosineExit):
        def decide(self, stage: Any, layer: int, step: int, uids: Any, before: Any, after: Any) -> torch.Tensor:
            seen.append(tuple(after.shape))
            return super().decide(stage, layer, step, uids, before, after)

    exits = Watching({"decoder": [0.5] * 4})
    decoder = RowDecoder(model, encoded_row(model, row), exits, "propagate", row.uid, beams=3)
    decoder.step(0, 0, 0)
    assert set(seen) == {(1, 3, model.config.d_model)}
