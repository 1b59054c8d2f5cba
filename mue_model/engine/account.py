"""What a row shared with others, and what ran in its place that it did not need.

Over all rows, the sum of executed - reused + padding equals what a FLOP counter sees.
"""

from __future__ import annotations

from dataclasses import replace

from mue_model import costs
from mue_model.config import ModelConfig
from mue_model.rows import ExitTrace, Reused, RowResult


def with_account(
    config: ModelConfig,
    result: RowResult,
    *,
    tables_flops: int,
    shares_image: bool = False,
    shares_text: bool = False,
    shared_kv: int = 0,
    padding: int = 0,
) -> RowResult:
    """Return `result` with its reused and padding FLOPs; one without a trace as it is.

    Args:
        config: Of the model.
        result: Of one row.
        tables_flops: Spent on position tables that this row was the first to need: rows save their own share of the
            tables, and the first one pays for what was really built.
        shares_image: Another row paid for the image stream.
        shares_text: Another row paid for the text stream.
        shared_kv: (memory token, layer) pairs whose cross-attention keys and values another row had projected.
        padding: FLOPs that ran in the row's place after its exits.
    """
    if result.trace is None:
        return result
    assert isinstance(result.trace, ExitTrace)
    regions = costs.row_regions(config, result.trace)
    balance = tables_flops - regions.positions
    reused = Reused(
        tables=max(0, -balance),
        text=regions.text_layers if shares_text else 0,
        image=regions.stem + regions.image_layers if shares_image else 0,
        cross_kv=shared_kv * costs.cross_kv_flops(config, 1),
    )
    return replace(result, flops_reused=reused.total(), reused=reused, flops_padding=max(0, balance) + padding)
