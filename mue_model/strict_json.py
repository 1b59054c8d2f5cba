"""JSON of strangers: of a key that is there twice, readers take different ones."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from mue_model.brief import brief


def strict_json(text: str) -> Any:
    """Return what `text` says; raise `ValueError` or `RecursionError` where it is no JSON, or has a key twice."""
    return json.loads(text, object_pairs_hook=_each_key_once)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {brief(twice)} is given twice; keep one")
    return found
