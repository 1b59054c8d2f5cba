"""A row on its way through the dense engine, from admission to its result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mue_model import costs
from mue_model.config import ModelConfig
from mue_model.rows import ExitTrace, Reused, RowInput, RowResult


@dataclass(eq=False)
class Flight:
    """One row in the engine."""

    ticket: int
    """What the caller knows the row by."""
    row: RowInput
    grid: tuple[int, int] = (0, 0)
    image: int = -1
    """Slot of its image stream, or of its joint one."""
    text: int = -1
    """Slot of its text stream; -1 in joint checkpoints."""
    pending: int = 0
    """Its streams that have not settled."""
    shares_image: bool = False
    """Another row paid for the image stream."""
    shares_text: bool = False
    """Another row paid for the text stream."""
    tables_flops: int = 0
    """Spent on position tables that this row was the first to need."""
    slot: int = -1
    """Slot in the decoder."""
    neighbours: tuple[str, ...] = field(default=(), repr=False)
    """All rows of the group that it had its first token or its scores from."""


def with_account(config: ModelConfig, flight: Flight, result: RowResult, shared_kv: int) -> RowResult:
    """Return `result` with what the row shared and padded.

    `shared_kv` counts (memory token, layer) pairs whose cross-attention keys and values another row had projected.
    Over all rows, executed - reused + padding is what a counter sees.
    """
    assert isinstance(result.trace, ExitTrace)
    regions = costs.row_regions(config, result.trace)
    balance = flight.tables_flops - regions.positions
    reused = Reused(
        tables=max(0, -balance),
        text=regions.text_layers if flight.shares_text else 0,
        image=regions.stem + regions.image_layers if flight.shares_image else 0,
        cross_kv=shared_kv * costs.cross_kv_flops(config, 1),
    )
    return replace(
        result,
        flops_reused=reused.total(),
        reused=reused,
        flops_padding=result.flops_padding + max(0, balance),
        group_uids=flight.neighbours,
    )
