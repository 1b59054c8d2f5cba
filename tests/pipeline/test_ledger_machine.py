"""The ledger under everything at once, in any order: drivers that know different things commit, crash, retry, rewrite,
repair, compact, withdraw and finalize. In the end every row is there once, with a text that somebody gave to that row.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pipeline.canonical_json import digest_of
from pipeline.completeness import IncompleteJob
from pipeline.interrupting_folder import Killed, Moment, interrupting
from pipeline.intervals import contains
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.progress import overlaps_of
from pipeline.receipts import LedgerError, Receipt, live
from pipeline.repair import repair_once, withdraw
from pipeline.storage import Storage

Make = Callable[..., pa.Table]
SHARDS = ("000000-a", "000001-b")
TOTAL = 6
DRIVERS = 3

_Drivers = st.integers(0, DRIVERS - 1)
_Shards = st.sampled_from(SHARDS)
_Rows = st.frozensets(st.integers(0, TOTAL - 1), min_size=1)
_Moments: st.SearchStrategy[Moment] = st.sampled_from(["before", "torn", "after"])


class LedgerMachine(RuleBasedStateMachine):
    """Three drivers on one folder, each with the knowledge it had when it last looked."""

    done: ClassVar[Counter[str]] = Counter()
    """What really happened over all runs: a property of steps that never take place holds for nothing."""

    def __init__(self, plan: Plan, make_table: Make) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.plan, self.make_table = plan, make_table
        self.storage = Storage.open(self.folder.name)
        self.drivers = [Ledger(self.storage) for _ in range(DRIVERS)]
        self.drivers[0].adopt_plan(plan)
        self.tasks: list[tuple[str, str, frozenset[int]]] = []
        self.views: list[list[Receipt]] = []
        self.committed: set[str] = set()
        self.withdrawn = False
        self.twice = False
        self.rewrites = 0

    # What drivers do

    @rule(driver=_Drivers, shard=_Shards, rows=_Rows, ends=st.booleans())
    def commit(self, driver: int, shard: str, rows: frozenset[int], ends: bool) -> None:
        task = (f"d{driver}-{len(self.tasks)}", shard, rows)
        self.tasks.append(task)
        self._commit(self.drivers[driver], task, by="first", totals={shard: TOTAL} if ends else None)

    @rule(driver=_Drivers, shard=_Shards, rows=_Rows, at=st.integers(0, 1), moment=_Moments)
    def die_while_committing(self, driver: int, shard: str, rows: frozenset[int], at: int, moment: Moment) -> None:
        task = (f"d{driver}-{len(self.tasks)}", shard, rows)
        self.tasks.append(task)
        with pytest.raises(Killed):
            self._commit(Ledger(interrupting(self.storage, at=at, moment=moment)), task, by="dying")
        self.drivers[driver] = Ledger(self.storage)
        self.done["died"] += 1

    @precondition(lambda self: self.committed and not self.twice)
    @rule(driver=_Drivers, data=st.data())
    def commit_what_another_has(self, driver: int, data: st.DataObject) -> None:
        owner = self._some_live(data)
        shard = next(iter(owner.ranges))
        self.commit(driver, shard, frozenset(_numbers(owner, shard)), False)

    @precondition(lambda self: self.tasks)
    @rule(driver=_Drivers, data=st.data())
    def retry_a_task(self, driver: int, data: st.DataObject) -> None:
        """Also one whose receipt has been compacted, replaced or withdrawn since."""
        task = data.draw(st.sampled_from(self.tasks))
        try:
            self._commit(self.drivers[driver], task, by="retry")
        except LedgerError as error:  # its first try told of the shard's end too
            if "was committed before with other rows" not in str(error):
                raise

    @precondition(lambda self: self.committed)
    @rule(driver=_Drivers, data=st.data())
    def rewrite_a_part(self, driver: int, data: st.DataObject) -> None:
        """As `mue retry` does: all rows of a live part anew."""
        owner = self._some_live(data)
        assert owner.part is not None
        table = self.make_table({shard: _numbers(owner, shard) for shard in owner.ranges}, by="rewrite")
        self.rewrites += 1
        name = f"d{driver}-rewrite{self.rewrites}"
        self.drivers[driver].commit(table, name=name, attempt="d", fingerprint="f", replaces=[owner.part.path])
        self.done["rewritten"] += 1

    @rule(driver=_Drivers)
    def look(self, driver: int) -> None:
        self.views.append(self.drivers[driver].receipts())

    # What keeps the folder in order

    @precondition(lambda self: self.twice)
    @rule(driver=_Drivers)
    def repair(self, driver: int) -> None:
        self.done["repaired"] += len(self.drivers[driver].repair())
        assert self.drivers[driver].overlaps() == []

    @precondition(lambda self: self.views and self.twice)
    @rule(data=st.data())
    def repair_what_was_seen_long_ago(self, data: st.DataObject) -> None:
        view = data.draw(st.sampled_from(self.views))
        repair_once(self.storage, view, overlaps_of(view))

    @precondition(lambda self: self.twice)
    @rule(at=st.integers(0, 1), moment=_Moments)
    def die_while_repairing(self, at: int, moment: Moment) -> None:
        try:
            Ledger(interrupting(self.storage, at=at, moment=moment)).repair()
        except Killed:
            self.done["died repairing"] += 1

    @precondition(lambda self: self.committed)
    @rule(driver=_Drivers, at_least=st.integers(1, 4))
    def compact(self, driver: int, at_least: int) -> None:
        self.done["compacted"] += self.drivers[driver].compact(at_least=at_least)

    @precondition(lambda self: self.committed)
    @rule(at=st.integers(0, 2), moment=_Moments)
    def die_while_compacting(self, at: int, moment: Moment) -> None:
        try:
            Ledger(interrupting(self.storage, at=at, moment=moment)).compact(at_least=1)
        except Killed:
            self.done["died compacting"] += 1

    @precondition(lambda self: self.committed)
    @rule(data=st.data())
    def withdraw_a_part(self, data: st.DataObject) -> None:
        """As `mue repair` does with a damaged one: its rows may be missing from then on."""
        self.withdrawn = True
        self.done["withdrawn"] += withdraw(self.storage, self._some_live(data)) is not None

    @precondition(lambda self: len(self.committed) == TOTAL * len(SHARDS) or len(self.tasks) % 4 == 3)
    @rule(driver=_Drivers)
    def finalize(self, driver: int) -> None:
        try:
            manifest = self.drivers[driver].finalize(self.plan)
        except IncompleteJob:
            self.done["incomplete"] += 1
            return
        assert manifest.rows == TOTAL * len(SHARDS)
        self.done["finalized"] += 1

    # What holds

    @invariant()
    def what_was_committed_stays(self) -> None:
        seen = {uid for uid, _ in self._texts()}
        if not self.withdrawn:
            assert self.committed <= seen
        self.committed = seen
        self.twice = bool(Ledger(self.storage).overlaps())

    @invariant()
    def all_drivers_that_look_see_the_same(self) -> None:
        fresh = Ledger(self.storage).receipts()
        assert len({receipt.id for receipt in fresh}) == len(fresh)
        assert all(driver.receipts() == fresh for driver in self.drivers[1:]), "the first one keeps what it knew"

    def teardown(self) -> None:
        ledger = Ledger(self.storage)
        for shard, done in ledger.progress().unfinished(self.plan).items():
            rows = [row for row in range(TOTAL) if not contains(tuple(done), row)]
            ledger.commit(
                self.make_table({shard: rows}, {shard: TOTAL}, by="rest"),
                name=f"rest-{shard}",
                attempt="rest",
                fingerprint="f",
            )
        manifest = ledger.finalize(self.plan)
        texts = self._texts()
        assert sorted(uid for uid, _ in texts) == sorted(f"{shard}/{row}/0" for shard in SHARDS for row in range(TOTAL))
        for uid, text in texts:
            assert text.removeprefix(f"{uid} by ") in ("first", "dying", "retry", "rewrite", "rest")
        for part in manifest.parts:
            assert digest_of(self.storage.read(part.path)) == part.sha256
        assert ledger.finalized(self.plan)
        self.folder.cleanup()

    def _commit(
        self, ledger: Ledger, task: tuple[str, str, frozenset[int]], *, by: str, totals: dict[str, int] | None = None
    ) -> None:
        name, shard, rows = task
        table = self.make_table({shard: rows}, totals, by=by)
        ledger.commit(table, name=name, attempt="d", fingerprint="f")

    def _some_live(self, data: st.DataObject) -> Receipt:
        return data.draw(st.sampled_from(live(Ledger(self.storage).receipts())))

    def _texts(self) -> list[tuple[str, str]]:
        tables = Ledger(self.storage).read_live(["uid", "text"])
        return [(row["uid"], row["text"]) for table in tables for row in table.to_pylist()]


def _numbers(receipt: Receipt, shard: str) -> list[int]:
    return [number for start, stop in receipt.ranges[shard] for number in range(start, stop)]


@pytest.mark.usefixtures("no_fsync")
def test_every_row_once_whatever_happens_in_whatever_order(make_plan: Callable[..., Plan], make_table: Make) -> None:
    LedgerMachine.done.clear()
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: LedgerMachine(make_plan(*SHARDS), make_table),
        settings=settings(
            max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    for what in ("died", "rewritten", "repaired", "compacted", "withdrawn"):
        assert LedgerMachine.done[what], f"never happened: {what}"
    assert LedgerMachine.done["died repairing"] + LedgerMachine.done["died compacting"]
