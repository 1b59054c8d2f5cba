"""From one decoded row per image to one row per query: what the engine is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mue_model.rows import Candidate, RowInput
from pipeline.identity import uid_of
from pipeline.records import RowStatus

_ERROR = ("status", "error_stage", "error_code", "error_message")


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One query of a decoded table, or one of its control rows."""

    place: int
    """Of its image in the decoded table."""
    columns: dict[str, Any]
    """What it does not share with the other queries of its image; empty for a control row."""
    asked: RowInput | None
    """None where there is nothing for the engine to do."""


def query_rows(decoded: pa.Table, image_size: int) -> list[QueryRow]:
    """Return the rows of a `decoded_schema` table query by query, in order; an image's share its pixels and its key."""
    columns = ["shard_id", "row_in_shard", "shard_total", "task", "queries", "image_sha256", *_ERROR]
    rows: list[QueryRow] = []
    for place, image in enumerate(decoded.select(columns).to_pylist()):
        if image["shard_total"] is not None:
            rows.append(QueryRow(place, {}, None))
            continue
        is_ok = image["status"] == RowStatus.OK
        flat = np.frombuffer(decoded["pixels"][place].as_buffer(), dtype=np.uint8)
        pixels = flat.reshape(image_size, image_size, 3)
        for query in image["queries"]:
            uid = uid_of(image["shard_id"], image["row_in_shard"], query["query"])
            own = {"uid": uid, "query": query["query"], "task": image["task"], "prompt": query["prompt"]}
            own |= {name: (query if is_ok else image)[name] for name in _ERROR}
            own["image_queries"] = len(image["queries"])
            asked = _row_input(own, query, pixels, image["image_sha256"]) if own["status"] == RowStatus.OK else None
            rows.append(QueryRow(place, own, asked))
    return rows


def _row_input(own: dict[str, Any], query: dict[str, Any], pixels: np.ndarray, digest: str | None) -> RowInput:
    candidates = (Candidate(label=found["label"], ids=tuple(found["ids"])) for found in query["candidates"] or ())
    return RowInput(
        uid=own["uid"],
        pixels=pixels,
        prompt_ids=tuple(query["prompt_ids"]),
        task=own["task"],
        candidates=tuple(candidates),
        image_key=digest or "",
    )
