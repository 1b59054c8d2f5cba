"""What a row shared with others, and what ran in its place that it did not need.

For every batch: the sum over its rows of executed - reused + padding equals what a FLOP counter sees.
"""

from __future__ import annotations

from dataclasses import replace

from mue_model import costs
from mue_model.config import ModelConfig
from mue_model.engine.encode import EncodedBatch
from mue_model.engine.tables import Geometry
from mue_model.rows import ExitTrace, Reused, RowResult


def encoder_trace(geometry: Geometry, encoded: EncodedBatch, number: int) -> ExitTrace:
    """Return the trace of row `number` as far as the encoder goes."""
    joint = encoded.text is encoded.image
    return ExitTrace(
        grid=geometry.grid,
        prompt_tokens=geometry.prompt_tokens,
        image=int(encoded.image.layers_run[number]),
        text=int(encoded.text.layers_run[number]),
        decoder=(),
        checks=(int(encoded.image.checks[number]), 0 if joint else int(encoded.text.checks[number]), 0),
        kv_fills=0,
        cross_kv_layers=0,
    )


def with_account(
    config: ModelConfig,
    geometry: Geometry,
    encoded: EncodedBatch,
    number: int,
    result: RowResult,
    *,
    tables_flops: int,
    decoder_padding: int,
) -> RowResult:
    """Return `result` with its reused and padding FLOPs.

    `tables_flops` were spent on position tables that this row was the first to need: rows save their own share of the
    tables, and the first one pays for what was really built. `decoder_padding` ran after the row's exits (wait_all).
    """
    if result.trace is None:
        return result
    regions = costs.row_regions(config, result.trace)
    tables_balance = tables_flops - regions.positions
    reused = Reused(tables=max(0, -tables_balance), text=regions.text_layers if encoded.text_reused[number] else 0)
    padding = max(0, tables_balance) + decoder_padding + _encoder_padding(config, geometry, encoded, number)
    return replace(result, flops_reused=reused.total(), reused=reused, flops_padding=padding)


def _encoder_padding(config: ModelConfig, geometry: Geometry, encoded: EncodedBatch, number: int) -> int:
    """FLOPs of encoder layers that ran with the row in the batch after it had exited (wait_all)."""
    if encoded.text is encoded.image:
        return encoded.image.extra_layers(number) * costs.encoder_layer_flops(config, geometry.memory)
    image = encoded.image.extra_layers(number) * costs.encoder_layer_flops(config, geometry.patches)
    return image + encoded.text.extra_layers(number) * costs.encoder_layer_flops(config, geometry.prompt_tokens)
