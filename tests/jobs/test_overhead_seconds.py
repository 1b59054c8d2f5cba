"""Seconds that saved nothing: added up where they are known, unknown where they are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.overhead_seconds import overhead_seconds

A = "000000-a"


def write(job: Any, name: str, *, actor: str, purpose: str = "run", windows: Any = (), **totals: Any) -> None:
    process = {"event": "process", "attempt": "a1", "actor": actor, "purpose": purpose, "load_s": 3.0, "warm_up_s": 0.5}
    sums = {
        "event": "totals", "actor_s": 100.0, "busy_s": 80.0, "idle_s": 5.0, "rows_ok": 10, "flops_ok": 900,
        "flops_shadow": 100,
    } | totals  # fmt: skip
    lines = "".join(json.dumps(each) + "\n" for each in [process, *windows, sums])
    job.ledger.storage.write(f"metrics/{name}.jsonl", lines.encode())


def commit(job: Any, actors: list[str]) -> None:
    rows = [job.row(A, number, actor=actor) for number, actor in enumerate(actors)]
    job.commit("a1-0", *rows, job.end(A, len(rows)))


def test_seconds_of_all_processes_add_up(job: Any) -> None:
    commit(job, ["x"] * 10 + ["y"] * 10)
    window = {"event": "window", "alone_s": 6.0, "drain_s": 1.5}
    write(job, "a1-x", actor="x", windows=[window])
    write(job, "a1-y", actor="y", flops_shadow=0, busy_s=40.0)
    found = overhead_seconds(job.ledger)
    assert (found.processes, found.processes_unknown) == (2, 0)
    assert (found.actor_s, found.load_s, found.warm_up_s, found.idle_s) == (200, 6, 1, 10)
    assert (found.windows_s, found.windows_drain_s, found.failed_attempts_s) == (6, 1.5, 0)
    assert found.shadow_s == pytest.approx(80 * 100 / 1000)
    assert found.document()["load_s"] == 6


def test_without_a_record_everything_is_unknown_and_never_zero(job: Any) -> None:
    commit(job, ["x", "y"])
    found = overhead_seconds(job.ledger)
    assert (found.processes, found.processes_unknown) == (0, 2)
    known = {name: value for name, value in found.document().items() if not name.startswith("processes")}
    assert set(known.values()) == {None}


def test_a_process_that_committed_rows_and_left_no_record_is_named(job: Any) -> None:
    commit(job, ["x"] * 10 + ["killed"] * 3)
    write(job, "a1-x", actor="x")
    assert overhead_seconds(job.ledger).processes_unknown == 1


def test_answers_that_were_never_committed_are_time_of_failed_attempts(job: Any) -> None:
    commit(job, ["x"] * 15)
    # The first process of the actor died with half of what it had answered; the second one did it again.
    write(job, "a1-x-1", actor="x", busy_s=20.0, rows_ok=10)
    write(job, "a1-x-2", actor="x", busy_s=20.0, rows_ok=10)
    assert overhead_seconds(job.ledger).failed_attempts_s == pytest.approx(40 * 5 / 20)


def test_a_process_that_died_before_its_model_was_loaded_makes_the_loading_unknown(job: Any) -> None:
    commit(job, ["x"] * 10)
    write(job, "a1-x", actor="x")
    lines = (job.folder / "metrics/a1-x.jsonl").read_text().replace('"load_s": 3.0, ', "")
    (job.folder / "metrics/a1-z.jsonl").write_text(lines.replace('"actor": "x"', '"actor": "z"'))
    found = overhead_seconds(job.ledger)
    assert (found.load_s, found.warm_up_s) == (None, 1)


def test_what_audits_took_afterwards_is_no_overhead_of_the_run(job: Any) -> None:
    commit(job, ["x"] * 10)
    write(job, "a1-x", actor="x")
    write(job, "a2-x", actor="x2", purpose="audit")
    assert overhead_seconds(job.ledger).processes == 1
