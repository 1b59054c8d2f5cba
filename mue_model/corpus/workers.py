"""Rows drawn by several processes, handed over in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from mue_model.corpus.row import Row, draw_row
from mue_model.corpus.settings import CorpusError, CorpusSettings, Split

Block = tuple[Split, int, int]
"""Split, first row and the row after the last one."""


def draw_blocks(settings: CorpusSettings, blocks: Sequence[Block], *, jobs: int) -> Generator[list[Row], None, None]:
    """Yield the rows of each block, in the order of `blocks`, whatever the number of processes.

    Raises:
        CorpusError: a process was killed, most likely for want of memory.
    """
    if jobs == 1 or len(blocks) <= 1:
        for block in blocks:
            yield _rows(settings, block)
        return
    # Not forked: the parent may have threads, of a progress bar or of torch.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(blocks)), mp_context=context, initializer=_follow_the_parent)
    rest = iter(blocks)
    waiting: deque[Future[list[Row]]] = deque()
    try:
        waiting += [pool.submit(_rows, settings, block) for block in islice(rest, 3 * jobs)]
        while waiting:
            rows = waiting.popleft().result()
            waiting += [pool.submit(_rows, settings, block) for block in islice(rest, 1)]
            yield rows
    except BrokenProcessPool as error:
        raise CorpusError(
            "a drawing process was killed, most likely for want of memory; the same command continues, with fewer "
            "--jobs if it happens again"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _rows(settings: CorpusSettings, block: Block) -> list[Row]:
    split, start, stop = block
    return [draw_row(settings, split, number) for number in range(start, stop)]


def _follow_the_parent() -> None:
    """Leave Ctrl-C to the parent, and end with it: a process of the pool outlives a killed parent otherwise."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
