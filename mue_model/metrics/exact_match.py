"""Whether a caption says, word for word, what a reference says; its mean over rows is the exact-match accuracy."""

from __future__ import annotations

from collections.abc import Sequence


def exact_match(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> bool:
    """Return whether the candidate's words are those of a reference, in order; raise `ValueError` without one."""
    if not references:
        raise ValueError("exact match needs at least one reference of each row")
    words = list(candidate)
    return any(words == list(reference) for reference in references)
