"""A row on its way through the dense engine, from admission to its result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mue_model.config import ModelConfig
from mue_model.engine.account import with_account
from mue_model.rows import RowInput, RowResult


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


def delivered(config: ModelConfig, flight: Flight, result: RowResult, shared_kv: int) -> RowResult:
    """Return `result` with what its row shared and padded, and the rows that it was answered beside."""
    accounted = with_account(
        config,
        result,
        tables_flops=flight.tables_flops,
        shares_image=flight.shares_image,
        shares_text=flight.shares_text,
        shared_kv=shared_kv,
    )
    return replace(accounted, group_uids=flight.neighbours)
