"""What the screen says of thresholds is what a free run does with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mue_model import costs
from mue_model.config import ExitConfig
from mue_model.tuning.family import constant_depth, vectors_of
from mue_model.tuning.screen import Screen, filled_later, pareto, thinned


def points(screen: Screen, *, decoder: bool = True, count: int = 6) -> list[ExitConfig]:
    """Joint points across the families, among them some of which rows leave at different depths."""
    stages = screen.stages if decoder else list(next(iter(screen.cells.values())).encoder)
    families = {stage: vectors_of(screen.seen(stage)) for stage in stages}
    random = np.random.default_rng(5)
    chosen = [{stage: own[random.integers(len(own))] for stage, own in families.items()} for _ in range(count)]
    return [ExitConfig.model_validate(own) for own in chosen]


@pytest.mark.parametrize("streams", ["decomposed", "joint"])
def test_candidates_are_exact(streams: str, studied: Callable[[str], Any]) -> None:
    """Depths, checks, everything executed and the answer are those of the reference, for every row."""
    found = studied(streams)
    varied = False
    for exits in points(found.screen):
        free = found.free("entailment", exits)
        screened = found.screen.of(exits)["entailment"]
        assert screened.traces == tuple(result.trace for result in free)
        flops = [costs.row_flops(found.model.config, result.trace) for result in free]
        assert screened.executed == sum(own.executed for own in flops)
        assert screened.checks == sum(own.checks for own in flops)
        assert screened.full == sum(own.full_same_length for own in flops)
        depths = {(trace.image, trace.text, trace.decoder) for trace in screened.traces}
        varied |= len(depths) > 2
    assert varied, "rows leave at different depths"


def test_candidates_are_right_where_a_free_run_is(studied: Callable[[str], Any]) -> None:
    found = studied("decomposed")
    gold, shares = found.gold["entailment"], set()
    for exits in [*points(found.screen, count=8), constant_depth(found.model.config, 2)]:
        free = found.free("entailment", exits)
        right = [result.label == own for result, own in zip(free, gold, strict=True)]
        assert found.screen.of(exits)["entailment"].right.tolist() == right
        shares.add(sum(right))
    assert len(shares) > 1


@pytest.mark.parametrize("streams", ["decomposed", "joint"])
def test_encoder_depths_of_captions_are_exact(streams: str, studied: Callable[[str], Any]) -> None:
    """With the decoder at full depth it tells exactly which texts change, and what the others cost."""
    found, changed = studied(streams), 0
    eligible = np.array(found.right["caption"])
    for exits in points(found.screen, decoder=False):
        free = found.free("caption", exits)
        screened = found.screen.of(exits)["caption"]
        same = [own.tokens == full.tokens for own, full in zip(free, found.full["caption"], strict=True)]
        assert screened.right.tolist() == (eligible & same).tolist()
        for own, trace, kept in zip(free, screened.traces, same, strict=True):
            assert (own.trace.image, own.trace.text) == (trace.image, trace.text)
            assert not kept or own.trace == trace
        changed += len(same) - sum(same)
    assert changed, "some texts do change"


def test_decoder_depths_of_captions_are_those_of_a_free_run_up_to_skipped_keys(studied: Callable[[str], Any]) -> None:
    """Where no token went deeper than one before it, nothing was propagated, and the screen is exact there too."""
    found, compared = studied("decomposed"), 0
    for exits in points(found.screen, count=30):
        screened = found.screen.of(exits)["caption"]
        for own, trace, kept in zip(found.free("caption", exits), screened.traces, screened.right, strict=True):
            if kept and not trace.kv_fills:
                assert own.trace == trace
                compared += 1
    assert compared > 5


def test_tokens_by_confidence_are_those_of_a_free_run_up_to_skipped_keys(studied: Callable[[str], Any]) -> None:
    """What the head costs where a token goes on is in the trace, and so is what the checks cost."""
    found, compared, early = studied("decomposed"), 0, 0
    screen = Screen(found.model.config, {"caption": found.by_confidence})
    for exits in points(screen, count=30):
        sure = exits.model_copy(update={"decoder_signal": "confidence"})
        screened = screen.of(sure)["caption"]
        for own, trace, kept in zip(found.free("caption", sure), screened.traces, screened.right, strict=True):
            if kept and not trace.kv_fills:
                assert own.trace == trace
                compared += 1
                early += min(trace.decoder) < found.model.config.decoder_layers
    assert compared > 5
    assert early


def test_full_depth_keeps_everything(studied: Callable[[str], Any]) -> None:
    found = studied("decomposed")
    full = found.screen.of(ExitConfig())
    assert found.screen.quality(full) == 1
    assert {own.share for own in full.values()} == {1}
    shallow = found.screen.of(constant_depth(found.model.config, 2))
    assert found.screen.quality(shallow) < 1
    assert all(own.share < 1 for own in shallow.values())


def test_fills_are_those_of_a_trace(studied: Callable[[str], Any]) -> None:
    found = studied("decomposed")
    fills = set()
    for exits in points(found.screen, count=4):
        for result in found.free("caption", exits):
            assert filled_later(result.trace.decoder) == result.trace.kv_fills
            fills.add(result.trace.kv_fills)
    assert len(fills) > 1
    assert filled_later((1, 4, 2, 3)) == 3 + 1


def test_the_front_is_what_nothing_beats() -> None:
    tried = [(0.5, 0.9), (0.4, 0.9), (0.9, 0.95), (0.7, 0.8), (1.0, 1.0), (0.4, 0.85)]
    assert pareto(tried) == [1, 2, 4]
    costs = [0.0, 0.1, 0.2, 0.5, 0.9, 1.0]
    assert thinned([0, 1, 2, 3, 5], costs, 3) == [0, 3, 5]
    assert thinned([0, 1], costs, 3) == [0, 1]


def test_seen_spoils_only_what_was_right(studied: Callable[[str], Any]) -> None:
    found = studied("decomposed")
    wrong = replace(found.cells["caption"], eligible=np.zeros(len(found.right["caption"]), bool))
    for stage in ("image", "text", "decoder"):
        seen = Screen(found.model.config, {"caption": wrong}).seen(stage)[0]
        collected = slice(1, None) if stage != "decoder" else slice(None)
        assert not seen.spoilt[:, collected].any()
    assert found.screen.seen("decoder")[0].spoilt.any()
