"""Rows that kill their process are found by real deaths of real processes, and their neighbours are answered."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.guard import Guard
from pipeline.intents import Care, Intent, Suspects, read_intents, suspects_of
from pipeline.isolation import failed_at, pieces_of
from pipeline.records import COMMIT_SCHEMA, ErrorStage
from pipeline.storage import Storage

A = "000000-a"
Make = Callable[..., pa.Table]


@given(st.lists(st.sampled_from([None, *Care]), max_size=40))
def test_pieces_cover_the_call_in_order_and_keep_suspects_apart(cares: list[Care | None]) -> None:
    pieces = list(pieces_of(cares))
    assert [place for start, stop in pieces for place in range(start, stop)] == list(range(len(cares)))
    for start, stop in pieces:
        found = {care or Care.TOGETHER for care in cares[start:stop]}
        assert len(found) <= 1
        if found & {Care.ALONE, Care.AGAIN}:
            assert stop - start == 1
        if Care.HALVES in found:
            assert stop - start <= (len(cares) + 1) // 2


def process(output: str, table: pa.Table, poison: set[int]) -> bool:
    """Answer `table` in a process of its own that dies for real at the rows `poison`; whether it survived."""
    pid = os.fork()
    if not pid:
        guard = Guard(
            output=output,
            attempt="a1",
            stuck_s=60,
            watched=True,
            suspects=suspects_of(read_intents(Storage.open(output)).values()),
        )

        def work(piece: pa.Table) -> pa.Table:
            rows = zip(piece["row_in_shard"].to_pylist(), piece["status"].to_pylist(), strict=True)
            if any(status == "ok" and row in poison for row, status in rows):
                os.kill(os.getpid(), signal.SIGKILL)
            return piece

        answers = guard.isolation(ErrorStage.INFER, f"actor-{os.getpid()}").run(table, work)
        assert answers["row_in_shard"].to_pylist() == table["row_in_shard"].to_pylist()
        failed = [row["row_in_shard"] for row in answers.to_pylist() if row["status"] == "failed"]
        Path(output, "failed").write_text(repr(failed))
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("poison", [set(), {0}, {17}, {31}, {3, 4}, {0, 15, 16, 31}])
def test_few_deaths_find_exactly_the_poison(tmp_path: Path, make_table: Make, poison: set[int]) -> None:
    table = make_table({A: range(32)}, {A: 32})
    deaths = 0
    while not process(str(tmp_path), table, poison):
        deaths += 1
        assert deaths <= 4 * len(poison), "together, in half a call, alone, alone again"
    assert eval((tmp_path / "failed").read_text()) == sorted(poison)
    assert bool(deaths) == bool(poison)


@pytest.mark.usefixtures("no_fsync")
def test_a_row_that_was_alone_in_hand_at_one_death_is_answered(tmp_path: Path, make_table: Make) -> None:
    """As where machines are taken away: the deaths are nobody's fault."""
    table = make_table({A: range(8)}, {})
    innocent = 5
    alone = Intent(stage=ErrorStage.INFER, care=Care.ALONE, rows={A: ((innocent, innocent + 1),)})
    Storage.open(str(tmp_path)).write("intents/a1-dead-1.json", alone.to_json())
    assert process(str(tmp_path), table, set())
    assert (tmp_path / "failed").read_text() == "[]"
    assert not process(str(tmp_path), table, {innocent}), "it does kill"
    assert process(str(tmp_path), table, {innocent}), "and is not run a third time"
    assert (tmp_path / "failed").read_text() == f"[{innocent}]"


def test_rows_that_run_alone_get_the_careful_work_and_all_others_the_usual(tmp_path: Path, make_table: Make) -> None:
    cares = {2: Care.ALONE, 3: Care.HALVES, 5: Care.AGAIN}
    suspects = Suspects({(ErrorStage.INFER, A, row): care for row, care in cares.items()})
    guard = Guard(output=str(tmp_path), attempt="a1", stuck_s=60, watched=True, suspects=suspects)
    seen: dict[str, list[int]] = {"usual": [], "careful": []}

    def work(name: str) -> Callable[[pa.Table], pa.Table]:
        return lambda piece: (seen[name].extend(piece["row_in_shard"].to_pylist()), piece)[1]

    table = make_table({A: range(8)}, {})
    answers = guard.isolation(ErrorStage.INFER, "x").run(table, work("usual"), work("careful"))
    assert answers.equals(table)
    assert seen == {"usual": [0, 1, 3, 4, 6, 7], "careful": [2, 5]}


def test_a_quarantined_row_says_what_happened(make_table: Make) -> None:
    table = failed_at(make_table({A: range(3)}, {A: 3}), [1], ErrorStage.DECODE)
    assert table.schema.equals(COMMIT_SCHEMA)
    assert table["status"].to_pylist() == ["ok", "failed", "ok", None]
    assert table["error_code"].to_pylist()[1] == "poison"
    assert table["error_stage"].to_pylist()[1] == "decode"
    assert "mue retry OUT --code poison" in table["error_message"].to_pylist()[1]
