"""What a process of a segment is told."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from pipeline.control import request_stop
from pipeline.guard import Guard
from pipeline.intents import Care, Suspects, read_intents
from pipeline.records import ErrorStage
from pipeline.storage import Storage

A = "000000-a"


def test_a_process_suspects_what_its_owner_had_in_hand_before_and_what_it_was_told(
    tmp_path: Path, make_table: Callable[..., pa.Table]
) -> None:
    told = Suspects({(ErrorStage.INFER, A, 9): Care.ALONE})
    guard = pickle.loads(pickle.dumps(Guard(output=str(tmp_path), attempt="a1", stuck_s=60, suspects=told)))
    storage = Storage.open(str(tmp_path))
    pieces: list[list[int]] = []

    def work(piece: pa.Table) -> pa.Table:
        pieces.append(piece["row_in_shard"].to_pylist())
        return piece

    # An actor with this id died with rows 0 to 3 in hand; another one has rows 4 to 7 and lives.
    for owner, rows in (("one", range(4)), ("another", range(4, 8))):
        guard.isolation(ErrorStage.INFER, owner).run(make_table({A: rows}), lambda piece: piece)
    assert len(read_intents(storage)) == 2

    guard.isolation(ErrorStage.INFER, "one").run(make_table({A: range(10)}), work)

    assert pieces == [[0, 1, 2, 3], [4, 5, 6, 7, 8], [9]]


def test_every_process_hears_of_a_stop(tmp_path: Path) -> None:
    guard = Guard(output=str(tmp_path), attempt="a1", stuck_s=60)
    assert not guard.stop_watch().stopped()
    request_stop(Storage.open(str(tmp_path)), "a1")
    assert guard.stop_watch().stopped()
