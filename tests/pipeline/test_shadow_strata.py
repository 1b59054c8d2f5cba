"""A row's stratum at its edges, and the same in SQL for every depth there is."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pipeline.shadow_strata import STRATA, stratum_of, stratum_sql

LAYERS = {"encoder_layers": 6, "decoder_layers": 4}


@pytest.mark.parametrize(
    ("image", "text", "decoder", "stratum"),
    [
        # 12 + 8 layers there are: 10 is half of them, 15 three quarters.
        (3, 4, [1, 2], "shallow"),
        (3, 4, [2, 2], "middle"),
        (5, 5, [2, 3], "middle"),
        (5, 6, [2, 3], "deep"),
        (6, 6, [4, 3], "deep"),
        (6, 6, [4, 4], "full"),
        # A text's length changes what there is, not what is deep.
        (6, 6, [4] * 9, "full"),
        (3, 3, [2] * 9, "shallow"),
    ],
)
def test_strata_end_at_half_and_at_three_quarters_of_the_layers(
    image: int, text: int, decoder: list[int], stratum: str
) -> None:
    assert stratum_of(image, text, decoder, **LAYERS) == stratum


def test_the_words_of_sql_say_the_same_of_every_row() -> None:
    duckdb: Any = pytest.importorskip("duckdb")
    rows = [
        (image, text, list(decoder))
        for image, text in itertools.product(range(1, 7), repeat=2)
        for decoder in [*itertools.product(range(1, 5), repeat=2), (4, 4, 4, 4), (1,)]
    ]
    values = ", ".join(f"({image}, {text}, {decoder})" for image, text, decoder in rows)
    query = (
        f"SELECT {stratum_sql(**LAYERS)} FROM (VALUES {values}) "
        "AS rows(image_layers_run, text_layers_run, decoder_layers_run)"
    )
    found = [stratum for (stratum,) in duckdb.sql(query).fetchall()]
    assert found == [stratum_of(*row, **LAYERS) for row in rows]
    assert set(found) == set(STRATA)
