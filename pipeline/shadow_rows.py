"""Rows run again at full depth: which of a call's, and what is committed beside each row's own answer. No ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mue_model import costs
from mue_model.config import ModelConfig
from mue_model.marked_rows import marked, marked_uid
from mue_model.rows import RowInput, RowResult
from pipeline.shadow_selection import ShadowSelection


def row_to_shadow(row: RowInput, result: RowResult, selection: ShadowSelection) -> RowInput | None:
    """Return the row, marked, if `selection` selects it; one without an answer has no depth and is never selected."""
    if result.error is not None or result.trace is None:
        return None
    stratum = selection.stratum(result.trace.image, result.trace.text, result.trace.decoder)
    return marked(row) if selection.selects(row.uid, stratum) else None


def shadow_columns(own: RowResult, full: RowResult, model: ModelConfig) -> dict[str, Any] | None:
    """Return the `shadow` struct of a row, or None where the run at full depth failed: the row itself stays as it is.

    Where answers are chosen from candidates, the text is the label, and labels must agree.
    """
    if full.error is not None or full.trace is None:
        return None
    text, own_text = (full.text, own.text) if full.label is None else (full.label, own.label)
    return {
        "text": text,
        "n_tokens": len(full.tokens),
        "layers": [full.trace.image, full.trace.text, *full.trace.decoder],
        "flops": costs.row_flops(model, full.trace).executed,
        "agrees": text == own_text,
    }


def shadows_by_uid(
    results: Sequence[RowResult], shadows: Sequence[RowResult], model: ModelConfig
) -> dict[str, dict[str, Any]]:
    """Return the `shadow` structs by the uid of the row; rows whose shadow failed are not in it."""
    by_mark = {full.uid: full for full in shadows}
    found = {}
    for own in results:
        full = by_mark.get(marked_uid(own.uid))
        struct = shadow_columns(own, full, model) if full is not None else None
        if struct is not None:
            found[own.uid] = struct
    return found
