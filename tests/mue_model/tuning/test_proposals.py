"""The front: nothing full, nothing twice, by rising cost, and as good as constant depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mue_model.tuning.family import constant_depth, depths_of
from mue_model.tuning.proposals import propose
from mue_model.tuning.screen import Screen


@pytest.mark.parametrize("streams", ["decomposed", "joint"])
def test_the_front_is_screened_and_sorted(streams: str, studied: Callable[[str], Any]) -> None:
    screen, told = studied(streams).screen, []
    found = propose(screen, points=6, floor=0.5, progress=lambda done, total: told.append((done, total)))
    front = found.front
    assert 2 <= len(front) <= 6
    assert len({proposal.exits for proposal in front}) == len(front)
    assert [own.spent_share for own in front] == sorted(own.spent_share for own in front)
    assert all(own.spent_share < 1 and own.quality >= 0.5 for own in front)
    assert all(own.quality == screen.quality(screen.of(own.exits)) for own in front)
    assert told[-1] == (found.screened, found.screened)
    assert found.screened > 100
    shallow = screen.of(constant_depth(screen.config, 2))
    assert max(own.quality for own in front) >= screen.quality(shallow)


def test_most_points_cost_no_more_than_what_is_asked_for(studied: Callable[[str], Any]) -> None:
    screen, most, aim = studied("decomposed").screen, 8, 0.8
    spread = propose(screen, points=most, floor=0.3, progress=lambda *_: None).front
    found = propose(screen, points=most, floor=0.3, aim=aim, progress=lambda *_: None).front
    enough = min(own.spent_share for own in found if own.quality >= aim)
    assert enough <= min(own.spent_share for own in spread if own.quality >= aim)
    near, beyond = ([own for own in found if (own.spent_share <= enough) is side] for side in (True, False))
    assert beyond, "what more buys is told, too"
    assert len(near) > len(beyond)
    assert len(near) > len([own for own in spread if own.spent_share <= enough])
    assert all(own.quality > aim for own in beyond)


def test_depths_by_stage_are_a_baseline_of_their_own(studied: Callable[[str], Any]) -> None:
    """A depth for each stage is no exit: who beats one depth for all stages may owe it to that alone."""
    screen = studied("decomposed").screen
    config, stages = screen.config, screen.stages
    found = propose(screen, points=6, floor=0.3, progress=lambda *_: None, constants=5)
    assert 2 <= len(found.constants) <= 5
    for depths, own in found.constants.items():
        assert len(depths) == len(stages) == 4
        assert len(set(depths)) > 1, "one depth for all stages is a baseline already"
        traces = [trace for screened in screen.of(own.exits).values() for trace in screened.traces]
        assert {trace.image for trace in traces} == {depths[0]}
        assert {trace.text for trace in traces} == {depths[1]}
        by_kind = [
            {layers for trace in traces if bool(trace.candidates) is kind for layers in trace.decoder}
            for kind in (False, True)
        ]
        assert by_kind == [{depths[2]}, {depths[3]}]
        assert own.quality == screen.quality(screen.of(own.exits)) >= 0.3
    assert all(depths_of(own.exits.per_layer(config), stages) is None for own in found.front)
    assert not propose(screen, points=6, floor=0.3, progress=lambda *_: None).constants


def test_candidates_are_tuned_by_themselves(studied: Callable[[str], Any]) -> None:
    front = propose(studied("decomposed").screen, points=8, floor=0.5, progress=lambda *_: None).front
    assert any(own.exits.candidates not in (None, own.exits.decoder) for own in front)


def test_what_was_not_tuned_stays_at_full_depth(studied: Callable[[str], Any]) -> None:
    found = studied("decomposed")
    for task, stage in (("caption", "candidates"), ("entailment", "decoder")):
        screen = Screen(found.model.config, {task: found.cells[task]})
        front = propose(screen, points=4, floor=0.5, progress=lambda *_: None).front
        left_out = [getattr(own.exits, stage) for own in front if own.exits.decoder != 1.0 or stage == "decoder"]
        assert left_out
        assert set(left_out) == {1.0}


def test_thresholds_of_confidences_say_so(studied: Callable[[str], Any]) -> None:
    found = studied("decomposed")
    for cells, signal in ((found.cells["caption"], "similarity"), (found.by_confidence, "confidence")):
        screen = Screen(found.model.config, {"caption": cells})
        front = propose(screen, points=8, floor=0.5, progress=lambda *_: None).front
        signals = {own.exits.decoder_signal for own in front if own.exits.decoder != 1.0}
        assert signals == {signal}


def test_a_floor_that_nothing_reaches_leaves_what_keeps_most(studied: Callable[[str], Any]) -> None:
    screen = studied("decomposed").screen
    best = propose(screen, points=4, floor=1.5, progress=lambda *_: None).front
    assert len(best) <= 1
