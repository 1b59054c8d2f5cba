"""Overlap repair: every row once afterwards, with the content of whoever keeps it, in whatever order things happen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.intervals import Ranges, contains
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.progress import Overlap, overlaps_of
from pipeline.receipts import LedgerError, Receipt, live
from pipeline.repair import repair_once, withdraw
from pipeline.storage import Storage

Make = Callable[..., pa.Table]
Texts = Callable[[Ledger], list[tuple[str, str]]]
SHARDS = ("000000-a", "000001-b")
TOTAL = 12


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Storage.open(str(tmp_path / "out")))


def test_the_smallest_receipt_id_keeps_a_row(ledger: Ledger, make_table: Make, live_texts: Texts) -> None:
    a, b = SHARDS
    ledger.commit(make_table({a: range(2, 5), b: [0]}, {a: 5}, by="y"), name="y", attempt="y", fingerprint="f")
    ledger.commit(make_table({a: range(4)}, by="x"), name="x", attempt="x", fingerprint="f")
    ledger.commit(make_table({b: [0]}, {b: 1}, by="z"), name="z", attempt="z", fingerprint="f")
    assert [(o.keeper, o.loser, o.rows) for o in ledger.overlaps()] == [("x", "y", ((2, 4),)), ("y", "z", ((0, 1),))]
    written = ledger.repair()
    assert [(receipt.id, receipt.replaces) for receipt in written] == [
        ("y.r1", ("data/y.parquet",)),
        ("z.r1", ("data/z.parquet",)),
    ]
    assert written[0].ranges == {a: ((4, 5),), b: ((0, 1),)}
    assert (written[1].part, written[1].totals) == (None, {b: 1}), "what the loser knew of its shard stays known"
    assert live_texts(ledger) == [
        *((f"{a}/{row}/0", f"{a}/{row}/0 by {'x' if row < 4 else 'y'}") for row in range(5)),
        (f"{b}/0/0", f"{b}/0/0 by y"),
    ]
    assert ledger.repair() == []


def test_a_repaired_part_keeps_its_metadata_and_place(ledger: Ledger, make_table: Make, live_texts: Texts) -> None:
    a = SHARDS[0]
    for name, rows in (("b", range(4)), ("a", [0]), ("b-1", [3])):
        ledger.commit(make_table({a: rows}, by=name), name=name, attempt=name, fingerprint="f")
    ledger.repair()
    texts = [f"{a}/0/0 by a", *(f"{a}/{row}/0 by b" for row in (1, 2, 3))]
    assert [text for _, text in live_texts(ledger)] == texts
    ledger.commit(make_table({a: [1]}, by="a2"), name="a2", attempt="a2", fingerprint="f")
    ledger.commit(make_table({a: [2]}, by="b-2"), name="b-2", attempt="b-2", fingerprint="f")
    assert [receipt.id for receipt in ledger.repair()] == ["b-2.r1", "b.r2"]
    texts[1] = f"{a}/1/0 by a2"
    assert [text for _, text in live_texts(ledger)] == texts
    for table in ledger.read_live():
        assert table.schema.metadata[b"fingerprint"] == b"f"


def test_a_withdrawn_part_leaves_its_rows_missing_and_its_shard_s_end_known(
    ledger: Ledger, make_table: Make, live_texts: Texts
) -> None:
    a = SHARDS[0]
    ledger.commit(make_table({a: range(3)}, {a: 5}, by="x"), name="x", attempt="x", fingerprint="f")
    ledger.commit(make_table({a: range(3, 5)}, by="y"), name="y", attempt="y", fingerprint="f")
    [first, _] = ledger.receipts()
    written = withdraw(ledger.storage, first)
    assert written is not None
    assert (written.id, written.part, written.totals, written.replaces) == ("x.r1", None, {a: 5}, ("data/x.parquet",))
    assert withdraw(ledger.storage, first) is None, "one of two counts"
    assert (ledger.progress().of(a).gaps, ledger.progress().of(a).total) == (((0, 3),), 5)
    ledger.commit(make_table({a: range(3)}, by="z"), name="z", attempt="z", fingerprint="f")
    assert [text for _, text in live_texts(ledger)] == [f"{a}/{row}/0 by {'z' if row < 3 else 'y'}" for row in range(5)]


def test_will_not_copy_from_a_damaged_part(ledger: Ledger, make_table: Make) -> None:
    for name in ("x", "y"):
        ledger.commit(make_table({SHARDS[0]: [0, 1]}, by=name), name=name, attempt=name, fingerprint="f")
    data = ledger.storage.read("data/y.parquet")
    ledger.storage.write("data/y.parquet", data[:50] + b"?" + data[51:])
    with pytest.raises(LedgerError, match=r"data/y\.parquet is not the file that done/y\.json committed"):
        ledger.repair()


def numbers_of(ranges: Ranges) -> list[int]:
    return [number for start, stop in ranges for number in range(start, stop)]


_Rows = st.frozensets(st.integers(0, TOTAL - 1), min_size=1)
_Commits = st.lists(
    st.tuples(st.sampled_from(["d1", "d2", "d3"]), st.sampled_from(SHARDS), _Rows), min_size=1, max_size=7
)
_Settings = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _commit_all(ledger: Ledger, make_table: Make, commits: Sequence[tuple[str, str, frozenset[int]]]) -> list[str]:
    names = []
    for index, (driver, shard, rows) in enumerate(commits):
        names.append(f"{driver}-{index}")
        table = make_table({shard: rows}, by=names[-1])
        ledger.commit(table, name=names[-1], attempt=driver, fingerprint="f")
    return names


def _finish(ledger: Ledger, plan: Plan, make_table: Make) -> None:
    """What a resumed run does: whatever is not done, and every shard's end."""
    for shard, done in ledger.progress().unfinished(plan).items():
        rows = [row for row in range(TOTAL) if not contains(tuple(done), row)]
        ledger.commit(
            make_table({shard: rows}, {shard: TOTAL}, by="rest"), name=f"rest-{shard}", attempt="rest", fingerprint="f"
        )
    ledger.finalize(plan)


@pytest.mark.usefixtures("no_fsync")
@_Settings
@given(commits=_Commits, data=st.data())
def test_every_row_once_and_by_the_rule(
    commits: list[tuple[str, str, frozenset[int]]],
    data: st.DataObject,
    make_plan: Callable[..., Plan],
    make_table: Make,
    live_texts: Texts,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger, plan = Ledger(Storage.open(folder)), make_plan(*SHARDS)
        ledger.adopt_plan(plan)
        names = _commit_all(ledger, make_table, commits)
        for index in data.draw(st.lists(st.integers(0, len(commits) - 1), max_size=3), label="retried tasks"):
            driver, shard, rows = commits[index]
            ledger.commit(make_table({shard: rows}, by="retry"), name=names[index], attempt=driver, fingerprint="f")
        _finish(ledger, plan, make_table)
        expected = []
        for shard in SHARDS:
            for row in range(TOTAL):
                holders = [
                    name for name, (_, s, rows) in zip(names, commits, strict=True) if s == shard and row in rows
                ]
                expected.append((f"{shard}/{row}/0", f"{shard}/{row}/0 by {min(holders, default='rest')}"))
        assert live_texts(ledger) == sorted(expected)


def _retry_one_part(ledger: Ledger, data: st.DataObject, make_table: Make, name: str) -> None:
    """Commit all rows of one live part anew."""
    owners = [receipt for receipt in live(ledger.receipts()) if receipt.part is not None]
    if owners:
        owner = data.draw(st.sampled_from(owners), label="retried part")
        assert owner.part is not None
        rows = {shard: numbers_of(ranges) for shard, ranges in owner.ranges.items()}
        table = make_table(rows, by=name)
        ledger.commit(table, name=name, attempt="retry", fingerprint="f", replaces=[owner.part.path])


@pytest.mark.usefixtures("no_fsync")
@_Settings
@given(data=st.data())
def test_repairs_with_stale_knowledge_lose_nothing(
    data: st.DataObject, make_plan: Callable[..., Plan], make_table: Make, live_texts: Texts
) -> None:
    """Several processes commit, retry, look at some moment, and repair what they saw then at some later moment."""
    with tempfile.TemporaryDirectory() as folder:
        ledger, plan = Ledger(Storage.open(folder)), make_plan(*SHARDS)
        ledger.adopt_plan(plan)
        views: list[tuple[list[Receipt], list[Overlap]]] = []
        # Between `d` and its repair `d.r1` the bare ids `d-x`, `d-x-x` ... sort: the hardest case for the rule.
        names = ["d" + "-x" * count for count in data.draw(st.permutations(range(8)), label="names")]
        for name in names:
            step = data.draw(st.sampled_from(["commit", "commit", "retry", "look", "repair"]))
            if step == "commit":
                rows = data.draw(st.frozensets(st.integers(0, 3), min_size=1))
                table = make_table({SHARDS[0]: rows}, by=name)
                ledger.commit(table, name=name, attempt="d", fingerprint="f")
            elif step == "retry":
                _retry_one_part(ledger, data, make_table, name)
            if step != "repair":
                receipts = ledger.receipts()
                # Processes may also list the folder a little late or early: then they see only a part.
                seen = data.draw(st.lists(st.sampled_from(receipts), unique_by=_id)) if receipts else []
                views += [(receipts, overlaps_of(receipts)), (seen, overlaps_of(seen))]
            if views:
                repair_once(ledger.storage, *data.draw(st.sampled_from(views)))
        before = {uid for uid, _ in live_texts(ledger)}
        committed = {
            f"{shard}/{row}/0" for r in ledger.receipts() for shard, v in r.ranges.items() for row in numbers_of(v)
        }
        assert before == committed, "what was committed once stays committed"
        _finish(ledger, plan, make_table)
        texts = live_texts(ledger)
        assert [uid for uid, _ in texts] == sorted(f"{shard}/{row}/0" for shard in SHARDS for row in range(TOTAL))
        assert all(text.startswith(f"{uid} by ") for uid, text in texts)


def _id(receipt: Receipt) -> str:
    return receipt.id
