"""Vectors have the effect that they are told by, on the rows that they were drawn from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mue_model.config import ModelConfig
from mue_model.tuning.family import (
    ALWAYS,
    NEVER,
    Seen,
    Vector,
    constant_depth,
    constant_depths,
    constant_vector,
    depths_of,
    vectors_of,
)

ROWS = 500


def leaving(similarity: np.ndarray, vector: Vector) -> np.ndarray:
    """Layers run, said plainly."""
    depths = []
    for row in similarity.tolist():
        passed = [layer + 1 for layer, value in enumerate(row) if vector[layer] < 1 and value > vector[layer]]
        depths.append(passed[0] if passed else len(vector))
    return np.array(depths)


@pytest.fixture
def seen() -> Seen:
    """Similarities of six layers, each layer around another value; the more alike, the seldomer spoilt."""
    random = np.random.default_rng(3)
    hard = random.random((ROWS, 1))
    similarity = np.linspace(0.8, 0.99, 5) - 0.003 * hard + 0.0005 * random.random((ROWS, 5))
    spoilt = hard - np.linspace(0.1, 0.6, 5) > 0.3 * random.random((ROWS, 5))
    return Seen(similarity.astype(np.float32), spoilt)


def test_shares_leave_where_the_vector_says(seen: Seen) -> None:
    vectors = vectors_of([seen])
    shares = {tuple(np.bincount(leaving(seen.similarity, vector), minlength=7)[1:] / ROWS) for vector in vectors}
    assert (0.4, 0.24, 0.144, 0.086, 0.052, 0.078) in {tuple(round(float(s), 3) for s in own) for own in shares}
    assert (0.0, 0.6, 0.4, 0.0, 0.0, 0.0) in {tuple(round(float(s), 3) for s in own) for own in shares}
    assert len(shares) > 60


def test_constant_depths_are_among_them(seen: Seen) -> None:
    vectors = vectors_of([seen])
    for depth in range(1, 7):
        assert constant_vector(depth, 6) in vectors
        assert set(leaving(seen.similarity, constant_vector(depth, 6))) == {depth}
    assert constant_vector(6, 6) == (NEVER,) * 6
    assert constant_vector(3, 6) == (NEVER, NEVER, ALWAYS, NEVER, NEVER, NEVER)


def test_risk_bounds_what_those_who_leave_spoil(seen: Seen) -> None:
    safe = [v for v in vectors_of([seen]) if spoilt_share(seen, v) == 0 and len(set(v)) > 2]
    assert safe, "some vector lets rows go and spoils none"
    means = [leaving(seen.similarity, vector).mean() for vector in safe]
    assert min(means) < 5.5


def test_those_whom_no_risk_lets_go_leave_together_at_every_layer(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the last layers add little, hard rows need not run them all."""
    monkeypatch.setattr("mue_model.tuning.family.SHARES", ())  # by shares there are such vectors anyway
    vectors = vectors_of([seen])
    whole = [vector for vector in vectors if ALWAYS not in vector and min(vector) < NEVER]
    assert whole
    for vector in whole:
        for last in range(2, 6):
            until = (*vector[: last - 1], ALWAYS, *[NEVER] * (6 - last))
            assert until in vectors
            assert (leaving(seen.similarity, until) == np.minimum(leaving(seen.similarity, vector), last)).all()


def spoilt_share(seen: Seen, vector: Vector) -> float:
    depths = leaving(seen.similarity, vector)
    early = depths < 6
    return float(seen.spoilt[early, depths[early] - 1].mean()) if early.any() else 0.0


def test_thresholds_lie_between_what_was_seen(seen: Seen) -> None:
    """So a rounding error of the sixth digit moves nobody who is not within it of a neighbour."""
    for vector in vectors_of([seen]):
        for layer, value in enumerate(vector[:-1]):
            if ALWAYS < value < NEVER:
                gap = np.abs(seen.similarity[:, layer].astype(float) - value)
                assert gap.min() > 0


def test_rows_that_are_all_alike_leave_together_or_not_at_all() -> None:
    """A caption's prompt is the same for all rows."""
    alike = Seen(np.full((50, 3), 0.9, np.float32), np.zeros((50, 3), bool))
    for vector in vectors_of([alike]):
        assert len(set(leaving(alike.similarity, vector).tolist())) == 1


def test_of_several_tasks_the_higher_threshold_is_tried(seen: Seen) -> None:
    other = Seen(seen.similarity - np.float32(0.01), ~seen.spoilt)
    both, one, two = (set(vectors_of(tasks)) for tasks in ([seen, other], [seen], [other]))
    assert one | two <= both
    assert len(both) > len(one | two)


def test_constant_depth_stops_every_stream_there(small_config: Callable[..., ModelConfig]) -> None:
    config = small_config()
    exits = constant_depth(config, 2).per_layer(config)
    assert exits["image"] == exits["text"] == exits["joint"] == (NEVER, ALWAYS, NEVER)
    assert exits["decoder"] == (NEVER, ALWAYS, NEVER, NEVER)
    deeper = constant_depth(config, 4).per_layer(config)
    assert set(deeper["image"]) == set(deeper["decoder"]) == {NEVER}


def test_depths_are_those_at_which_all_leave() -> None:
    exits = {"image": constant_vector(2, 6), "text": constant_vector(6, 6), "decoder": (NEVER, ALWAYS, ALWAYS, NEVER)}
    assert depths_of(exits, ["image", "text", "decoder"]) == (2, 6, 2)
    assert depths_of(exits, ["image", "candidates"]) == (2, 2), "candidates go by the decoder's unless told"
    assert depths_of({**exits, "candidates": constant_vector(4, 4)}, ["candidates"]) == (4,)
    assert depths_of({**exits, "text": (0.5, NEVER)}, ["image", "text"]) is None


def test_each_stage_may_have_a_depth_of_its_own(small_config: Callable[..., ModelConfig]) -> None:
    for streams, depths, stages in (
        ("decomposed", (2, 1, 3), ["image", "text", "decoder", "candidates"]),
        ("joint", (1, 2), ["joint", "decoder", "candidates"]),
    ):
        config = small_config(streams=streams, encoder_layers=3, decoder_layers=4)
        found = constant_depths(config, depths).per_layer(config)
        assert depths_of(found, stages) == (*depths, depths[-1])
        for wrong in (depths[1:], (*depths[:-1], 5), (0, *depths[1:])):
            with pytest.raises(ValueError, match="are no depths of"):
                constant_depths(config, wrong)
    assert constant_depths(config, (3, 4)).per_layer(config)["decoder"] == (NEVER,) * 4
