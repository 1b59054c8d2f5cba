from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pipeline.lease_keeper import held_lease

A, B = "000000-a", "000001-b"
PART_B = f"data/a1-{B}-0.parquet"


def _flip(job: Any) -> None:
    """Change one byte of a part and nothing else."""
    data = job.ledger.storage.read(PART_B)
    job.ledger.storage.write(PART_B, data[:60] + bytes([data[60] ^ 1]) + data[61:])


def test_the_command_looks_first_and_mends_when_told(mue: Callable[..., Any], finished: Any) -> None:
    _flip(finished)
    looked = mue("--json", "repair", finished.folder)
    assert looked.exit_code == 1
    facts = json.loads(looked.stdout)
    assert (facts["mended"], facts["sound"], facts["rows_lost"]) == (False, False, 5)
    assert [damage["path"] for damage in facts["damaged"]] == [PART_B]
    assert facts["damaged"][0]["rows"] == {B: [[0, 5]]}
    assert mue("repair", finished.folder, "--quick").exit_code == 0

    mended = mue("repair", finished.folder, "--apply")
    assert (mended.exit_code, "1: withdrawn, and the next 'mue run'" in mended.stdout) == (0, True)
    assert "sound" in mue("repair", finished.folder).stdout


def test_mending_is_refused_while_a_job_runs(mue: Callable[..., Any], finished: Any) -> None:
    finished.ledger.storage.write("data/orphan.parquet", b"x")
    finished.written_at("data/orphan.parquet", -3600)
    with held_lease(finished.ledger.storage, attempt="a9", length_s=60):
        for options in (["--apply"], ["--delete-orphans"]):
            refused = mue("repair", finished.folder, *options)
            assert refused.exit_code == 1
            assert "is being worked on by process" in refused.stderr
        assert mue("repair", finished.folder).exit_code == 0
    deleted = mue("repair", finished.folder, "--delete-orphans")
    assert "1: deleted" in deleted.stdout
    assert not finished.ledger.storage.exists("data/orphan.parquet")
