"""Which rows a report shows: those that full depth answers differently, worst first, then by depth, then drawn ones.

Memory is bounded by one part. Which rows are drawn follows from the fingerprint: nobody picks them.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.audit_record import audit_records, audited_rows
from jobs.diff import difference
from jobs.shadow_sample import answer_of
from pipeline.ledger import Ledger
from pipeline.receipts import Receipt, live
from pipeline.records import RowStatus
from pipeline.shared_meta import with_meta_json

GroupName = Literal["disagree", "shallow", "deep", "drawn"]
_SHARES: dict[GroupName, float] = {"disagree": 1 / 3, "shallow": 1 / 6, "deep": 1 / 6, "drawn": 1 / 3}
_LAYERS = ["image_layers_run", "text_layers_run", "decoder_layers_run"]
_RANKED = ["uid", "status", "task", "text", "label", "shadow", "query", *_LAYERS]
_SHOWN = [*_RANKED, "shard_id", "row_in_shard", "key", "prompt", "candidates", "image_sha256", "meta_json"]
_DRAWS = 4
"""Numbers drawn for each row wanted: some rows failed."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One row in the gallery."""

    group: GroupName
    row: dict[str, Any]
    answer: str
    full_depth: str | None
    """What full depth answers; None where the row is no shadow row."""
    difference: float | None
    """Between the two, 0..1."""


@dataclass(frozen=True, order=True)
class _Rank:
    score: float
    receipt: str
    uid: str


def gallery(ledger: Ledger, *, rows: int = 24) -> list[Shown]:
    """Return about `rows` rows with status `ok`, each once, group by group; none from a job without one.

    What full depth says of a row is what was committed with it, or else what the latest `mue audit run` found.
    """
    audited = _audited(ledger)
    receipts = live(ledger.receipts())
    wanted = {name: round(rows * share) for name, share in _SHARES.items()}
    ranked = _ranked(ledger, receipts, wanted, audited)
    chosen: dict[str, tuple[GroupName, str]] = {}
    for name, ranks in ranked.items():
        fresh = (rank for rank in ranks if rank.uid not in chosen)
        chosen |= {rank.uid: (name, rank.receipt) for rank in islice(fresh, wanted[name])}
    seed = random.Random(ledger.plan().fingerprint)
    drawn = (rank for rank in _drawn(ledger, receipts, wanted["drawn"], seed) if rank.uid not in chosen)
    chosen |= {rank.uid: ("drawn", rank.receipt) for rank in islice(drawn, wanted["drawn"])}
    found = _looked_up(ledger, {receipt.id: receipt for receipt in receipts}, chosen)
    return [_shown(name, _with_shadow(found[uid], audited)) for uid, (name, _) in chosen.items()]


def _audited(ledger: Ledger) -> dict[str, Mapping[str, Any]]:
    """What an audit after the run found, by uid; nothing where the run itself had shadow rows."""
    if any(ledger.plan().audit_rates.values()):
        return {}
    records = [record for record in audit_records(ledger) if record.shadows is not None]
    return audited_rows(ledger, records[-1]) if records else {}


def _with_shadow(row: dict[str, Any], audited: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found = audited.get(row["uid"])
    # A row that was answered anew since is another row.
    return row | {"shadow": found["shadow"]} if found is not None and found["answer"] == answer_of(row) else row


def _ranked(
    ledger: Ledger,
    receipts: list[Receipt],
    wanted: Mapping[GroupName, int],
    audited: Mapping[str, Mapping[str, Any]],
) -> dict[GroupName, list[_Rank]]:
    """The first candidates of each group that must see every row, twice as many as wanted for groups may overlap."""
    differing = pa.array([uid for uid, found in audited.items() if not found["shadow"]["agrees"]], pa.string())
    kept: dict[GroupName, list[_Rank]] = {"disagree": [], "shallow": [], "deep": []}
    for receipt in receipts:
        table = ledger.read_part(receipt, _RANKED)
        ok = table.filter(pc.equal(table["status"], RowStatus.OK.value))
        if not len(ok):
            continue
        depth = _depths(ok)
        signs: dict[GroupName, int] = {"shallow": 1, "deep": -1}
        for name, sign in signs.items():
            order = np.argsort(sign * depth, kind="stable")[: 2 * wanted[name]]
            kept[name] += [_Rank(float(sign * depth[at]), receipt.id, ok["uid"][int(at)].as_py()) for at in order]
        committed = pc.fill_null(pc.invert(pc.struct_field(ok["shadow"], "agrees")), False)
        disagreeing = ok.filter(pc.or_(committed, pc.is_in(ok["uid"], value_set=differing))).to_pylist()
        rows = [row for row in (_with_shadow(row, audited) for row in disagreeing) if row["shadow"] is not None]
        kept["disagree"] += [_Rank(-_difference(row), receipt.id, row["uid"]) for row in rows]
        kept = {name: heapq.nsmallest(2 * wanted[name], ranks) for name, ranks in kept.items()}
    return kept


def _depths(ok: pa.Table) -> np.ndarray:
    """Mean layers run of each row, streams and tokens alike."""
    total, count = np.zeros(len(ok)), np.zeros(len(ok))
    for name in _LAYERS[:2]:
        values = ok[name].to_numpy(zero_copy_only=False).astype(float)
        total, count = total + np.nan_to_num(values), count + ~np.isnan(values)
    lengths = pc.fill_null(pc.list_value_length(ok["decoder_layers_run"]), 0).to_numpy().astype(int)
    sums = np.concatenate([[0], np.cumsum(pc.list_flatten(ok["decoder_layers_run"]).to_numpy())])
    ends = np.cumsum(lengths)
    return (total + sums[ends] - sums[ends - lengths]) / np.maximum(1, count + lengths)


def _drawn(ledger: Ledger, receipts: list[Receipt], wanted: int, seed: random.Random) -> Iterator[_Rank]:
    """Rows by numbers drawn among all of them; only the parts that hold those are read."""
    ends = list(accumulate(receipt.part.rows for receipt in receipts if receipt.part is not None))
    total = ends[-1] if ends else 0
    numbers = seed.sample(range(total), min(total, _DRAWS * wanted))
    held: dict[int, pa.Table] = {}
    for number in numbers:
        place = int(np.searchsorted(ends, number, side="right"))
        if place not in held:
            held = {place: ledger.read_part(receipts[place], ["uid", "status"])}
        inside = number - (ends[place - 1] if place else 0)
        if held[place]["status"][inside].as_py() == RowStatus.OK:
            yield _Rank(0.0, receipts[place].id, held[place]["uid"][inside].as_py())


def _looked_up(
    ledger: Ledger, receipts: Mapping[str, Receipt], chosen: Mapping[str, tuple[GroupName, str]]
) -> dict[str, dict[str, Any]]:
    """The chosen rows with all that is shown of them."""
    found: dict[str, dict[str, Any]] = {}
    for receipt_id in dict.fromkeys(receipt for _, receipt in chosen.values()):
        table = with_meta_json(ledger.read_part(receipts[receipt_id], _SHOWN))
        uids = pa.array([uid for uid, (_, receipt) in chosen.items() if receipt == receipt_id])
        found |= {row["uid"]: row for row in table.filter(pc.is_in(table["uid"], value_set=uids)).to_pylist()}
    return found


def _shown(name: GroupName, row: dict[str, Any]) -> Shown:
    has_shadow = row["shadow"] is not None
    return Shown(
        group=name,
        row=row,
        answer=answer_of(row) or "",
        full_depth=row["shadow"]["text"] if has_shadow else None,
        difference=_difference(row) if has_shadow else None,
    )


def _difference(row: Mapping[str, Any]) -> float:
    """Two labels differ wholly or not at all, texts by their words."""
    other = row["shadow"]["text"] or ""
    answer = answer_of(row) or ""
    return difference(answer, other) if row["label"] is None else float(answer != other)
