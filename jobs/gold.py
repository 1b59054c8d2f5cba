"""What is right about each query of an image, among what came with the image."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pipeline.row_field import EVERY, RowField


class Gold:
    """Puts values at one field beside the queries at another: those at the same entries of `[*]` belong together."""

    def __init__(self, label: RowField, asked: RowField | None) -> None:
        """Take the field of what is right, and that of what is asked; None where every image is asked the same."""
        self.label = label
        self._asked = asked
        steps = asked.steps if asked is not None else ()
        self._shared = min(label.steps.count(EVERY), steps.count(EVERY))
        self._last: tuple[dict[str, Any] | None, list[list[Any]]] = (None, [])

    def of(self, members: dict[str, Any], query: int) -> list[Any]:
        """Return what is right about a query of the image with these members; empty where they do not say."""
        if members is not self._last[0]:
            self._last = members, self._by_query(members)
        found = self._last[1]
        return found[query] if query < len(found) else []

    def _by_query(self, members: dict[str, Any]) -> list[list[Any]]:
        places = [()] if self._asked is None else [entry.index for entry in self._asked.entries(members)]
        values: defaultdict[tuple[int, ...], list[Any]] = defaultdict(list)
        for entry in self.label.entries(members):
            if entry.problem is None:
                values[entry.index[: self._shared]].append(entry.value)
        return [values[place[: self._shared]] for place in places]
