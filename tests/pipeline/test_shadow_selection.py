"""The choice of rows: a share of them, by nothing but seed and uid, and by the same rule in SQL."""

from __future__ import annotations

import hashlib
import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shadow_selection import ShadowSelection, bound_of, key_of, selected_sql
from pipeline.shadow_strata import STRATA

UIDS = [f"{shard:06d}-a/{row}/{query}" for shard in range(10) for row in range(400) for query in range(5)]
RATES = {"shallow": 0.2, "middle": 0.05, "deep": 0.0, "full": 1.0}


def rule(seed: int = 3, **rates: float) -> ShadowSelection:
    return ShadowSelection(seed=seed, rates=rates or RATES, encoder_layers=6, decoder_layers=4)  # type: ignore[arg-type]


def test_the_key_is_the_documented_hash() -> None:
    assert key_of(7, "000000-a/1/0") == hashlib.sha256(b"7:000000-a/1/0").hexdigest()[:16]
    assert (bound_of(0.5), bound_of(0.0), bound_of(1.0)) == ("8000000000000000", "0" * 16, "g")


@pytest.mark.parametrize("stratum", STRATA)
def test_about_the_rate_of_each_stratum_is_chosen(stratum: Any) -> None:
    chosen = sum(rule().selects(uid, stratum) for uid in UIDS)
    rate, rows = RATES[stratum], len(UIDS)
    assert abs(chosen - rate * rows) <= 4 * math.sqrt(rate * (1 - rate) * rows)


def test_neighbours_and_seeds_are_chosen_independently() -> None:
    first, second = ([rule(seed, shallow=0.3).selects(uid, "shallow") for uid in UIDS] for seed in (0, 1))
    both = sum(a and b for a, b in zip(first, second, strict=True)) / len(UIDS)
    beside = sum(a and b for a, b in itertools.pairwise(first)) / len(UIDS)
    assert both == pytest.approx(0.09, abs=0.01)
    assert beside == pytest.approx(0.09, abs=0.01)


@given(st.floats(0, 1), st.floats(0, 1), st.text(max_size=20))
def test_a_higher_rate_only_adds_rows(one: float, other: float, uid: str) -> None:
    low, high = sorted((one, other))
    assert rule(shallow=high).selects(uid, "shallow") or not rule(shallow=low).selects(uid, "shallow")
    assert rule(shallow=1.0).selects(uid, "shallow")
    assert not rule(shallow=0.0).selects(uid, "shallow")


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_a_rate_that_is_no_share_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        bound_of(rate)


def test_a_rule_without_rates_selects_nothing() -> None:
    assert not rule(shallow=0.0).any
    assert rule(deep=1e-9).any


def test_the_condition_of_sql_holds_for_the_same_rows() -> None:
    duckdb: Any = pytest.importorskip("duckdb")
    depths = {"shallow": (1, 1, [1]), "middle": (5, 4, [2]), "deep": (6, 6, [3]), "full": (6, 6, [4])}
    rows = [(uid, *depths[STRATA[number % 4]]) for number, uid in enumerate(UIDS[:1200])]
    values = ", ".join(f"('{uid}', {image}, {text}, {decoder})" for uid, image, text, decoder in rows)
    query = (
        f"SELECT uid FROM (VALUES {values}) AS rows(uid, image_layers_run, text_layers_run, decoder_layers_run) "
        f"WHERE {selected_sql(rule())}"
    )
    expected = {uid for number, (uid, *_) in enumerate(rows) if rule().selects(uid, STRATA[number % 4])}
    assert {uid for (uid,) in duckdb.sql(query).fetchall()} == expected
    assert 300 < len(expected) < 600
