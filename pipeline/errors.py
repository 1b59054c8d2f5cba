"""The base of every error that `pipeline` raises on purpose, and how a message lists names."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 10
"""Most things that one message names one by one."""


class PipelineError(Exception):
    """Something a user can act on. The message says what happened, to which id, and what to do."""


def some(names: Sequence[str]) -> str:
    """Return the first few of `names` and how many more there are, for a message."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
