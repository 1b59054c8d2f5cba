"""A function over many items, some at a time: for requests to a storage, where each waits and none computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_ROUND = 64
"""Items handed out together, per thread: `Executor.map` alone would hold a future for every item there is."""

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def bounded_map(function: Callable[[ItemT], ResultT], items: Iterable[ItemT], *, at_once: int) -> Iterator[ResultT]:
    """Yield `function(item)` for each item, in order, `at_once` of them running at a time; memory stays bounded."""
    left = iter(items)
    with ThreadPoolExecutor(at_once) as pool:
        while some := list(islice(left, at_once * _ROUND)):
            yield from pool.map(function, some)
