"""A pace that is measured by its definition predicts what it was measured from."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mue_model.tuning.net_work import NetWork
from mue_model.tuning.pace import Pace, Timed

FULL = {"image": 600, "text": 60, "decoder": 6000}
LAYER_S = {"image": 0.01, "text": 0.02, "decoder": 0.0005}
CHECK_S = {"image": 0.001, "text": 0.0, "decoder": 0.001}
FIXED_S = 2.0


def work(layers: Mapping[str, int], asked: Mapping[str, int]) -> NetWork:
    none = dict.fromkeys(FULL, 0)
    return NetWork(executed=1, checks=0, full=1, layers={**FULL, **layers}, asked={**none, **asked})


def timed(layers: Mapping[str, int], asked: Mapping[str, int]) -> Timed:
    own = work(layers, asked)
    seconds = FIXED_S + sum(own.layers[stage] * LAYER_S[stage] + own.asked[stage] * CHECK_S[stage] for stage in FULL)
    return Timed(work=own, seconds=seconds)


def pace() -> Pace:
    return Pace.of(
        timed({}, {}),
        {stage: timed({stage: FULL[stage] // 2}, {}) for stage in FULL},
        {stage: timed({}, {stage: 5 * FULL[stage] // 6}) for stage in FULL},
    )


def test_layers_and_checks_cost_what_they_were_timed_at() -> None:
    found = pace()
    assert found.layer_s == pytest.approx(LAYER_S)
    assert found.check_s == pytest.approx(CHECK_S)


def test_the_share_is_that_of_the_clock() -> None:
    run = timed({"image": 250, "decoder": 4000}, {"image": 200, "decoder": 3000})
    assert pace().share(run.work, work({}, {})) == pytest.approx(run.seconds / timed({}, {}).seconds)


def test_other_rows_scale() -> None:
    """Twice the rows at twice the layers take the same share."""
    double = {stage: 2 * own for stage, own in FULL.items()}
    share = pace().share(work({**double, "image": 600}, {}), work(double, {}))
    assert share == pytest.approx(pace().share(work({"image": 300}, {}), work({}, {})))


def test_asking_a_token_may_cost_more_than_its_layer() -> None:
    saved = work({"decoder": 5500}, {"decoder": 5000})
    assert pace().share(saved, work({}, {})) > 1


def test_noise_gives_nothing_away() -> None:
    full = timed({}, {})
    found = Pace.of(
        full,
        {"image": Timed(work=work({"image": 300}, {}), seconds=full.seconds + 1)},
        {"image": Timed(work=work({}, {"image": 500}), seconds=full.seconds - 1)},
    )
    assert (found.layer_s["image"], found.check_s["image"]) == (0, 0)
