"""What a job file may say, pinned: a renamed or dropped key breaks every job file that uses it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from jobs.settings import job_schema

PATH = Path(__file__).resolve().parents[1] / "golden" / "job_schema.json"


def test_the_keys_of_a_job_file_are_the_recorded_ones() -> None:
    if os.environ.get("MUE_WRITE_GOLDEN"):
        PATH.write_text(json.dumps(job_schema(), indent=1, sort_keys=True) + "\n", "utf-8")
    assert job_schema() == json.loads(PATH.read_text("utf-8"))
