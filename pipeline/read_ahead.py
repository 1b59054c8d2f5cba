"""Fetches what comes next while the present is in use, in order and never more than a few."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def read_ahead(
    items: Iterable[ItemT],
    fetch: Callable[[ItemT], ResultT],
    *,
    at_a_time: int,
    max_bytes: int,
    size_of: Callable[[ItemT], int],
) -> Iterator[tuple[ItemT, ResultT]]:
    """Yield each item with what `fetch` returns for it, in order; what `fetch` raises comes at the item's turn.

    Args:
        items: Taken only as far ahead as the limits allow.
        fetch: Called in other threads.
        at_a_time: Most items in hand.
        max_bytes: Most bytes in hand, except where one item alone has more.
        size_of: Bytes that an item's result takes.
    """
    rest = iter(items)
    waiting: deque[tuple[ItemT, Future[ResultT], int]] = deque()
    in_hand = 0
    end = object()
    following: ItemT | object = next(rest, end)
    pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="mue-read-ahead")
    try:
        while waiting or following is not end:
            while following is not end and len(waiting) < at_a_time:
                item = cast(ItemT, following)
                size = size_of(item)
                if waiting and in_hand + size > max_bytes:
                    break
                waiting.append((item, pool.submit(fetch, item), size))
                in_hand += size
                following = next(rest, end)
            item, result, size = waiting.popleft()
            yield item, result.result()
            in_hand -= size
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
