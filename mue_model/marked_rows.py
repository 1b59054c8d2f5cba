"""Rows that are marked run at full depth in the same engine, and the same groups, as rows that exit.

A marked row's result is what `NeverExit` gives it; it shares nothing with rows that are not marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from torch import Tensor

from mue_model.config import DecoderSignal
from mue_model.exits import ExitPolicy, ReadsLogits, Stage, decide_at, sharing_class, signal_of
from mue_model.rows import RowInput

_MARK = "@full-depth"
"""Behind the uid: policies know rows by nothing else."""


def marked(row: RowInput) -> RowInput:
    """Return `row` as one to be run at full depth."""
    return replace(row, uid=marked_uid(row.uid))


def marked_uid(uid: str) -> str:
    """Return the uid that the row `uid` has as a marked one."""
    return uid + _MARK


class MarkedAtFullDepth:
    """`policy` for all rows but the marked ones, which never exit."""

    def __init__(self, policy: ExitPolicy) -> None:
        self._policy = policy
        self.row_dependent = getattr(policy, "row_dependent", True)

    def sharing_class(self, uid: str) -> str | None:
        """Marked rows may share among themselves, if others may."""
        own = sharing_class(self._policy, uid)
        return own if own is None or not uid.endswith(_MARK) else own + _MARK

    def signal_of(self, uid: str) -> DecoderSignal:
        """Return that of `policy`; of marked rows no head is asked."""
        return "similarity" if uid.endswith(_MARK) else signal_of(self._policy, uid)

    def may_exit(self, stage: Stage, layer: int, step: int) -> bool:
        """Return whether a row that is not marked may."""
        return self._policy.may_exit(stage, layer, step)

    def decide(self, stage: Stage, layer: int, step: int, uids: Sequence[str], before: Tensor, after: Tensor) -> Tensor:
        """Return what `policy` decides, and false for marked rows."""
        return self._but_marked(self._policy.decide(stage, layer, step, uids, before, after), uids)

    def decide_at(
        self, stage: Stage, layer: int, steps: Sequence[int], uids: Sequence[str], before: Tensor, after: Tensor
    ) -> Tensor:
        """Return the same for rows at different steps."""
        return self._but_marked(decide_at(self._policy, stage, layer, steps, uids, before, after), uids)

    def decide_by_logits(self, layer: int, steps: Sequence[int], uids: Sequence[str], logits: Tensor) -> Tensor:
        """Return what `policy` decides by logits of rows that are not marked."""
        return cast(ReadsLogits, self._policy).decide_by_logits(layer, steps, uids, logits)

    def _but_marked(self, decided: Tensor, uids: Sequence[str]) -> Tensor:
        places = [place for place, uid in enumerate(uids) if uid.endswith(_MARK)]
        if places:
            decided[places] = False
        return decided
