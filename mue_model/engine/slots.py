"""Numbered places that are taken and given back, and tensors that hold something for each of them."""

from __future__ import annotations

import numpy as np
from torch import Tensor


class Slots:
    """Hands out the lowest numbers first, and more of them whenever none is left."""

    def __init__(self) -> None:
        self.capacity = 0
        """Numbers given out so far are below it."""
        self._free: list[int] = []

    def take(self) -> int | None:
        """Return a free number; None if none is left."""
        return self._free.pop() if self._free else None

    def extend(self, capacity: int) -> None:
        """Have numbers up to `capacity`."""
        self._free.extend(range(capacity - 1, self.capacity - 1, -1))
        self.capacity = capacity

    def give_back(self, number: int) -> None:
        """Let `number` be taken again."""
        self._free.append(number)

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self.capacity - len(self._free)


def grown(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor of `shape` that begins like `tensor`; the rest is 0."""
    larger = tensor.new_zeros(shape)
    larger[tuple(slice(0, size) for size in tensor.shape)] = tensor
    return larger


def grown_array(array: np.ndarray, shape: tuple[int, ...], fill: int = 0) -> np.ndarray:
    """Return an array of `shape` that begins like `array`; the rest is `fill`."""
    larger = np.full(shape, fill, dtype=array.dtype)
    larger[tuple(slice(0, size) for size in array.shape)] = array
    return larger
