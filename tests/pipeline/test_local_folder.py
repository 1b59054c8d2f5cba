"""The local folder under real processes: races, kills, and file systems without hard links."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.folders import NoHardLinks
from pipeline.local_folder import LocalFolder

_RACER = """
import sys
from pipeline.local_folder import LocalFolder
folder, me = LocalFolder(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
print(" ".join(str(turn) for turn in range(200) if folder.create(f"done/{turn}", me.encode() * 1000)))
"""

_WRITER = """
import sys
from pipeline.local_folder import LocalFolder
folder = LocalFolder(sys.argv[1])
print("ready", flush=True)
for turn in range(1_000_000):
    folder.write("run.json", bytes([turn % 256]) * 4_000_000)
    folder.create(f"done/{turn}", bytes([turn % 256]) * 4_000_000)
"""


def _start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )


def test_of_two_processes_that_create_a_file_exactly_one_wins(tmp_path: Path) -> None:
    racers = {name: _start(_RACER, str(tmp_path), name) for name in ("a", "b")}
    for racer in racers.values():
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    won = {}
    for racer in racers.values():
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for name, racer in racers.items():
        won[name] = {int(turn) for turn in racer.communicate(timeout=60)[0].split()}
    assert won["a"] | won["b"] == set(range(200))
    assert not won["a"] & won["b"]
    for name, turns in won.items():
        assert all((tmp_path / "done" / str(turn)).read_bytes() == name.encode() * 1000 for turn in turns)
    assert not [name for name in os.listdir(tmp_path / "done") if name.startswith(".")]


def test_a_killed_process_leaves_no_half_file(tmp_path: Path) -> None:
    for pause_s in (0.01, 0.023, 0.041):
        writer = _start(_WRITER, str(tmp_path))
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(pause_s)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.communicate()
    folder = LocalFolder(str(tmp_path))
    written = [*(f"done/{name}" for name in folder.names("done")), *folder.names("")]
    assert written, "the writer was killed before it wrote anything"
    for path in written:
        data = folder.read(path)
        assert len(data) == 4_000_000
        assert data == data[:1] * 4_000_000


def test_files_obey_the_umask(tmp_path: Path) -> None:
    folder = LocalFolder(str(tmp_path))
    before = os.umask(0o027)
    try:
        folder.create("a", b"x")
        folder.write("b", b"x")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o640, 0o640]


def test_refuses_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(NoHardLinks):
        LocalFolder(str(tmp_path)).create("a", b"x")
    assert os.listdir(tmp_path) == []


def test_a_repeated_link_request_of_nfs_counts_as_won(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", link_twice)
    folder = LocalFolder(str(tmp_path))
    assert folder.create("a", b"mine")
    monkeypatch.undo()
    assert not folder.create("a", b"other")
    assert folder.read("a") == b"mine"
