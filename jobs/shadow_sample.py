"""The rows that a rule selects for the shadow audit, and what full depth says of them, read from the committed parts.

Memory grows with the rows that are selected, not with those that are committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.exact_sum import exact_sum
from pipeline.ledger import Ledger
from pipeline.records import RowStatus
from pipeline.shadow_selection import ShadowSelection
from pipeline.shadow_strata import STRATA, Stratum

_COLUMNS = [
    *("uid", "shard_id", "row_in_shard", "image_sha256", "status", "text", "label", "n_tokens", "shadow"),
    *("image_layers_run", "text_layers_run", "decoder_layers_run", "flops_executed", "flops_full_same_length"),
]


@dataclass(frozen=True, kw_only=True)
class ShadowStratum:
    """Counts of one stratum of recorded depth, exact."""

    name: Stratum
    rate: float
    rows: int
    """With status `ok`."""
    selected: int
    shadowed: int
    disagreed: int

    @property
    def lost(self) -> int:
        """Selected, but without a result."""
        return self.selected - self.shadowed


@dataclass(frozen=True, kw_only=True)
class SelectedRow:
    """One row that the rule selects."""

    uid: str
    shard_id: str
    image: tuple[str, int]
    """shard_id and row_in_shard."""
    stratum: Stratum
    rate: float
    answer: str | None
    """As committed: the label where candidates were scored, else the text."""
    image_sha256: str | None
    n_tokens: int
    flops_full_same_length: int
    shadow: Mapping[str, Any] | None
    """None where it was lost."""


@dataclass
class _Counts:
    rows: int = 0
    selected: int = 0
    shadowed: int = 0
    disagreed: int = 0
    executed: int = 0
    full_same_length: int = 0


@dataclass
class ShadowSample:
    """Exact counts of all `ok` rows, and the selected ones."""

    selection: ShadowSelection
    rows: list[SelectedRow] = field(default_factory=list)
    _counts: dict[Stratum, _Counts] = field(default_factory=lambda: {stratum: _Counts() for stratum in STRATA})

    @property
    def strata(self) -> tuple[ShadowStratum, ...]:
        """Counts by stratum."""
        return tuple(
            ShadowStratum(
                name=name,
                rate=self.selection.rates.get(name, 0.0),
                rows=counts.rows,
                selected=counts.selected,
                shadowed=counts.shadowed,
                disagreed=counts.disagreed,
            )
            for name, counts in self._counts.items()
        )

    def covered(self, name: str) -> int:
        """Return the exact sum of `rows`, `executed` or `full_same_length` over strata with a rate above 0."""
        return sum(
            getattr(counts, name)
            for stratum, counts in self._counts.items()
            if self.selection.rates.get(stratum, 0.0) > 0
        )

    def add(self, table: pa.Table, audited: Mapping[str, Mapping[str, Any]] | None) -> None:
        """Take the rows of one part; `audited` replaces what is in the rows themselves."""
        ok = table.filter(pc.equal(table["status"], RowStatus.OK.value))
        if not len(ok):
            return
        strata = self._strata_of(ok)
        for stratum in dict.fromkeys(strata):
            mask = pa.array(np.array(strata) == stratum)
            mine, counts = ok.filter(mask), self._counts[stratum]
            counts.rows += len(mine)
            counts.executed += exact_sum(mine["flops_executed"])
            counts.full_same_length += exact_sum(mine["flops_full_same_length"])
        chosen = [
            place
            for place, (uid, stratum) in enumerate(zip(ok["uid"].to_pylist(), strata, strict=True))
            if self.selection.selects(uid, stratum)
        ]
        for place, row in zip(chosen, ok.take(pa.array(chosen, pa.int64())).to_pylist(), strict=True):
            self._add_selected(row, strata[place], row["shadow"] if audited is None else _found(row, audited))

    def _add_selected(self, row: Mapping[str, Any], stratum: Stratum, shadow: Mapping[str, Any] | None) -> None:
        counts = self._counts[stratum]
        counts.selected += 1
        counts.shadowed += shadow is not None
        counts.disagreed += shadow is not None and not shadow["agrees"]
        self.rows.append(
            SelectedRow(
                uid=row["uid"],
                shard_id=row["shard_id"],
                image=(row["shard_id"], row["row_in_shard"]),
                stratum=stratum,
                rate=self.selection.rates[stratum],
                answer=answer_of(row),
                image_sha256=row["image_sha256"],
                n_tokens=row["n_tokens"],
                flops_full_same_length=row["flops_full_same_length"],
                shadow=shadow,
            )
        )

    def _strata_of(self, ok: pa.Table) -> Sequence[Stratum]:
        streams = zip(
            ok["image_layers_run"].to_pylist(),
            ok["text_layers_run"].to_pylist(),
            ok["decoder_layers_run"].to_pylist(),
            strict=True,
        )
        return [self.selection.stratum(*layers) for layers in streams]


def shadow_sample(
    ledger: Ledger, selection: ShadowSelection, audited: Mapping[str, Mapping[str, Any]] | None = None
) -> ShadowSample:
    """Return the committed rows that `selection` selects.

    Args:
        ledger: Of the job.
        selection: The rule.
        audited: Rows of an audit by uid; None where shadows were committed with the rows.
    """
    sample = ShadowSample(selection)
    for table in ledger.read_live(_COLUMNS):
        sample.add(table, audited)
    return sample


def _found(row: Mapping[str, Any], audited: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What an audit found about a row, unless the row has been given another answer since."""
    found = audited.get(row["uid"])
    return found["shadow"] if found is not None and found["answer"] == answer_of(row) else None


def answer_of(row: Mapping[str, Any]) -> str | None:
    """Return a row's answer: the label where candidates were scored, else the text."""
    answer: str | None = row["text"] if row["label"] is None else row["label"]
    return answer
