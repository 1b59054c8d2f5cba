"""What a killed writer leaves is found, wherever a job writes; nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.storage import Storage
from pipeline.unfinished import unfinished_writes

KILLED = """
import os, signal, sys
from pipeline.storage import Storage
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
Storage.open(sys.argv[1]).create(sys.argv[2], b"x" * 1000)
"""


def test_writers_killed_at_the_last_moment(tmp_path: Path) -> None:
    paths = ("run.json", "data/a.parquet", "done/a.json", "done/compact/a.jsonl", "intents/a.json", "lease/000001.json")
    for path in paths:
        assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), path], check=False).returncode == -9
    storage = Storage.open(str(tmp_path))
    found = unfinished_writes(storage)
    assert sorted(str(Path(write.path).parent) for write in found) == sorted(str(Path(path).parent) for path in paths)
    assert {write.bytes for write in found} == {1000}
    assert all(-1 < write.age_s < 300 for write in found)
    assert storage.list("data") == [], "nobody else sees them"


def test_names_that_no_job_gives_are_nobody_s_business(tmp_path: Path) -> None:
    for name in (".tmp-mine", f".tmp-{1:031x}", f".tmp-{1:032x}.txt", "a.tmp"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / f".tmp-{1:032x}").write_bytes(b"x")
    assert unfinished_writes(Storage.open(str(tmp_path))) == []
    assert unfinished_writes(Storage.open(str(tmp_path / "absent"))) == []
    assert unfinished_writes(Storage.open("s3://bucket/run")) == []
