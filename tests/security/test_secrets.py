"""Secrets of the environment are in nothing that a job writes or says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.run_record import RunRecord
from jobs.spec import load_spec
from pipeline.ledger import Ledger
from pipeline.storage import Storage

SECRETS = {
    name: f"hunter2-{number}-hunter2"
    for number, name in enumerate(
        ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "HF_TOKEN")
    )
}


def test_a_plan_its_record_and_all_that_is_said_hold_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(1024))
    code = "from jobs.cli import main; main()"
    words = ["-v", "--json", "plan", "a.tar", "--output", "out", "--model", "seeded"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, **SECRETS, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["shards"] == 1
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    ledger = Ledger(Storage.open(str(tmp_path / "out")))
    RunRecord(ledger, load_spec(None, inputs=["a.tar"], output=str(tmp_path / "out"), overrides=[]), "a1")
    written = [path.read_text("utf-8") for path in (tmp_path / "out").rglob("*.json")]
    assert len(written) == 2
    assert not [text for text in (*written, done.stdout, done.stderr) if "hunter2" in text]
