"""How deep a row ran, in four strata, from its own columns alone: integers here and in SQL.

A row's depth is the layers that it ran out of those there are: `image_layers_run + text_layers_run +` the sum of
`decoder_layers_run`, out of twice the encoder's layers and the decoder's once for each step. Where a checkpoint has one
joint stream both encoder columns hold it, so it counts twice on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

Stratum = Literal["shallow", "middle", "deep", "full"]
"""Up to half of the layers, up to three quarters, more, all of them."""

STRATA: tuple[Stratum, ...] = get_args(Stratum)


def stratum_of(image: int, text: int, decoder: Sequence[int], *, encoder_layers: int, decoder_layers: int) -> Stratum:
    """Return the stratum of an `ok` row with these layers run, on a model with so many layers."""
    ran = image + text + sum(decoder)
    there = 2 * encoder_layers + len(decoder) * decoder_layers
    if 2 * ran <= there:
        return "shallow"
    if 4 * ran <= 3 * there:
        return "middle"
    return "deep" if ran < there else "full"


def stratum_sql(*, encoder_layers: int, decoder_layers: int) -> str:
    """Return an expression of duckdb that is an `ok` row's stratum."""
    ran = "(image_layers_run + text_layers_run + list_sum(decoder_layers_run))"
    there = f"({2 * encoder_layers} + {decoder_layers} * len(decoder_layers_run))"
    return (
        f"CASE WHEN 2 * {ran} <= {there} THEN 'shallow' WHEN 4 * {ran} <= 3 * {there} THEN 'middle' "
        f"WHEN {ran} < {there} THEN 'deep' ELSE 'full' END"
    )
