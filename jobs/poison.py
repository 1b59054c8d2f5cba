"""When rows that kill their process are too many to be the rows' fault."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import PipelineError, some
from pipeline.hand_record import RowKey
from pipeline.identity import uid_of


class TooMuchPoison(PipelineError):
    """More rows killed or hung their process than the failure budget allows."""


def check_poison(rows: Iterable[RowKey], *, allowed: int) -> None:
    """Raise `TooMuchPoison` if more than `allowed` rows are quarantined."""
    uids = [uid_of(*row) for row in sorted(rows)]
    if len(uids) > allowed:
        raise TooMuchPoison(
            f"{len(uids)} rows killed or hung the process that had them in hand, and failures.max_poison_rows is "
            f"{allowed}: {some(uids)}. If it is not their images, look at the machine and the model (-v shows the "
            "processes' last words); the same command with a higher limit goes on, and deleting intents/ clears them"
        )
