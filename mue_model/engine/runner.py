"""What the engine's thread drives: rows in, one bit of work at a time, results out under the rows' tickets."""

from __future__ import annotations

from typing import Protocol

import torch

from mue_model.rows import RowError, RowInput, RowResult

_NO_ROOM_ON_CPU = "DefaultCPUAllocator: can't allocate memory"
"""Torch has a class of its own for a full accelerator, and none for a full machine."""


class Runner(Protocol):
    """Not thread-safe: one thread owns it. A row that raises gets a result with an error; others are untouched."""

    @property
    def busy(self) -> bool:
        """Whether rows are inside."""
        ...

    def room(self) -> int:
        """Return how many rows may be admitted now; more than 0 where nothing is inside."""
        ...

    def rows_wanted(self, *, scored: bool) -> int:
        """Return W, the rows in flight that keep every group full; `scored`: rows have candidates to choose from."""
        ...

    def admit(self, ticket: int, row: RowInput) -> None:
        """Take a row in."""
        ...

    def step(self, *, held_back: bool = False) -> list[tuple[int, RowResult]]:
        """Do some work; return what it finished. `held_back`: rows wait outside for want of room."""
        ...

    def occupancies(self) -> dict[str, float]:
        """Return, for each stage that has run, rows over places of its groups; may be asked from other threads."""
        ...


def is_fatal(failure: Exception) -> bool:
    """Whether the accelerator itself failed, so that no further row can be answered in this process."""
    return isinstance(failure, torch.AcceleratorError)


def row_error(failure: Exception) -> RowError:
    """Return what a row that is alone with `failure` reports."""
    if isinstance(failure, MemoryError | torch.OutOfMemoryError) or _NO_ROOM_ON_CPU in str(failure):
        return RowError(code="out_of_memory", message=str(failure))
    return RowError(code="model_error", message=f"{type(failure).__name__}: {failure}")
