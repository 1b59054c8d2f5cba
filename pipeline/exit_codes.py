"""What the exit code of a `mue` command means."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Fixed for scripts and schedulers; the numbers never change their meaning."""

    OK = 0
    """Every row is committed exactly once, within the failure budget."""
    FAILURE = 1
    """Something went wrong that no other code describes."""
    USAGE = 2
    """The command line, a setting or an input is wrong; a shard missing when planning too."""
    FAILURE_BUDGET = 3
    """The job ran to its end, but more rows or shards failed than allowed."""
    MISMATCH = 4
    """Verification found a figure, row or digest that does not agree."""
    EVIDENCE_MISSING = 5
    """Verification lacks what it needs to say yes or no."""
    INTERRUPTED = 75
    """Stopped before the end; the same command resumes."""
    SIGINT = 130
    """Stopped by Ctrl-C; the same command resumes."""
