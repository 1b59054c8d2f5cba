"""A segment in rounds: when processes die under it, the next round records what is in hand, until nobody is suspect.

Bounded: a round that died must have committed rows or told more about its suspects, or the job stops.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from jobs.poison import check_poison
from pipeline.intents import Suspects, forget_settled, read_intents, suspects_of
from pipeline.intervals import Ranges
from pipeline.ledger import Ledger
from pipeline.patience import patiently
from pipeline.segment_failure import SegmentFailed
from pipeline.shard_read import ShardRead
from pipeline.starts import forget_starts

logger = logging.getLogger(__name__)

RunRound = Callable[[list[ShardRead], bool, Suspects], bool]
"""Runs these reads; told whether to record what is in hand, and the suspects. Says whether it was cut short and the
rest wants another round."""


class Rounds:
    """Runs the segments of one attempt, each to its end or to an error that another round would not help."""

    def __init__(
        self, ledger: Ledger, is_open: Callable[[str, Ranges], bool], *, max_poison_rows: int, watched: bool
    ) -> None:
        """Prepare to run segments.

        Args:
            ledger: Where they are committed.
            is_open: Whether any of these rows of a shard is still to be done.
            max_poison_rows: Most rows that may be quarantined.
            watched: The attempt before was killed, so that the first segment records what is in hand.
        """
        self._ledger, self._is_open = ledger, is_open
        self._max_poison_rows, self._watched = max_poison_rows, watched
        self._poison: set[tuple[str, int]] = set()

    def run(self, reads_left: Callable[[], list[ShardRead]], run_round: RunRound) -> None:
        """Run what `reads_left` gives; after a death what it gives then.

        Raises:
            SegmentFailed: A task raised, an actor could not start, or processes died and nothing was gained.
            TooMuchPoison: More than `max_poison_rows` rows are quarantined.
        """
        watched, known = self._watched, None
        self._watched = False
        while reads := patiently(reads_left):
            suspects = self._suspects()
            try:
                if not run_round(reads, watched or bool(suspects), suspects):
                    break
            except SegmentFailed as failed:
                learnt = patiently(self._learnt)
                if not failed.died or learnt == known:
                    raise
                known, watched = learnt, True
                suspected = len(learnt[1].care)
                logger.warning("processes of the job died or hung; it goes on, with %d rows under suspicion", suspected)
                logger.debug("%s", failed)
        patiently(self._forget_settled)

    def _learnt(self) -> tuple[int, Suspects]:
        return len(self._ledger.receipts()), suspects_of(read_intents(self._ledger.storage).values())

    def _forget_settled(self) -> None:
        forget_settled(self._ledger.storage, self._is_open)

    def _suspects(self) -> Suspects:
        patiently(self._forget_settled)
        forget_starts(self._ledger.storage)
        suspects = suspects_of(patiently(lambda: read_intents(self._ledger.storage)).values())
        self._poison |= suspects.quarantined()
        check_poison(self._poison, allowed=self._max_poison_rows)
        return suspects
