from __future__ import annotations

import datetime
from typing import Any

import pytest

from jobs.file_times import file_times


def test_each_finished_file_has_the_time_it_was_written(job: Any) -> None:
    assert file_times(job.ledger, "done") == {}
    job.commit_shard("000000-a")
    job.commit_shard("000001-b")
    job.written_at("done/a1-000001-b-0.json", -3600)
    (job.folder / "done" / ".tmp-half").write_bytes(b"")
    (job.folder / "done" / "compact").mkdir()
    times = file_times(job.ledger, "done")
    assert sorted(times) == ["done/a1-000000-a-0.json", "done/a1-000001-b-0.json"]
    now = datetime.datetime.now(datetime.UTC)
    ages_s = [(now - times[path]).total_seconds() for path in sorted(times)]
    assert ages_s == pytest.approx([0, 3600], abs=60)
