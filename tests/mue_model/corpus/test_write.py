from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from mue_model.corpus.settings import CorpusError, CorpusSettings
from mue_model.corpus.shards import appear
from mue_model.corpus.workers import draw_blocks
from mue_model.corpus.write import draw_corpus
from pipeline.shard_rows import iter_tables

Digests = Callable[[Path], dict[str, str]]


def test_layout_is_that_of_img2dataset(drawn: Path) -> None:
    files = sorted(str(path.relative_to(drawn)) for path in drawn.rglob("*") if path.is_file())
    shards = ["train/00000", "train/00001", "train/00002", "val/00000", "test/00000"]
    sidecars = [f"{shard}{suffix}" for shard in shards for suffix in (".parquet", ".tar", "_stats.json")]
    assert files == sorted([*sidecars, "ATTRIBUTION.md", "LICENSE", "corpus.json"])
    with tarfile.open(drawn / "train" / "00002.tar") as archive:
        names = archive.getnames()
    assert names[:3] == ["000020000.jpg", "000020000.txt", "000020000.json"]
    assert len(names) == 3 * 5
    stats = json.loads((drawn / "train" / "00002_stats.json").read_text())
    assert (stats["count"], stats["successes"], stats["status_dict"]) == (5, 5, {"success": 5})


def test_the_sidecar_table_agrees_with_the_rows(drawn: Path) -> None:
    table = pq.read_table(drawn / "val" / "00000.parquet").to_pylist()
    with tarfile.open(drawn / "val" / "00000.tar") as archive:
        for record in table:
            text, document = (archive.extractfile(f"{record['key']}.{suffix}") for suffix in ("txt", "json"))
            assert text is not None
            assert document is not None
            facts = json.load(document)
            assert text.read().decode() == record["caption"] == facts["caption"]
            assert all(facts[name] == value for name, value in record.items())
    assert len(table) == 20


def test_our_reader_finds_no_failed_row(drawn: Path) -> None:
    tables = list(iter_tables(str(drawn / "train" / "00000.tar"), "a", suffixes=("jpg",), max_member_bytes=1 << 20))
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["status"] for row in rows[:-1]] == ["ok"] * 30
    assert (rows[-1]["shard_total"], rows[-1]["shard_state"]) == (30, "done")


@pytest.mark.skipif(importlib.util.find_spec("webdataset") is None, reason="webdataset is not installed")
def test_the_webdataset_library_reads_the_shards(drawn: Path) -> None:
    import webdataset

    urls = [str(path) for path in sorted(drawn.glob("train/*.tar"))]
    rows = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("pil"))
    assert len(rows) == 65
    assert all(row["jpg"].size == (96, 96) and row["txt"] == row["json"]["caption"] for row in rows)


def test_the_number_of_processes_changes_no_byte(
    drawn: Path, small: CorpusSettings, digests: Digests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mue_model.corpus.write._ROWS_PER_BLOCK", 7)
    told: list[tuple[int, int, int, int]] = []
    result = draw_corpus(tmp_path / "two", small, jobs=2, progress=lambda *facts: told.append(facts))
    assert digests(tmp_path / "two") == digests(drawn)
    assert (result.rows, result.rows_before, result.shards) == (100, 0, 5)
    assert told[0] == (0, 100, 0, 5)
    assert told[-1] == (100, 100, 5, 5)
    assert [done for done, *_ in told] == sorted(done for done, *_ in told)


def test_what_is_there_is_not_drawn_again(drawn: Path, small: CorpusSettings, digests: Digests, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(drawn, folder)
    (folder / "train" / "00001.tar").unlink()
    appear(folder / "train" / ".00001.tar.99.partial", b"left behind")
    kept = (folder / "train" / "00000.tar").stat().st_mtime_ns
    result = draw_corpus(folder, small)
    assert (result.rows, result.rows_before) == (100, 70)
    assert digests(folder) == digests(drawn)
    assert (folder / "train" / "00000.tar").stat().st_mtime_ns == kept


def test_a_killed_command_leaves_whole_shards_and_the_next_one_goes_on(digests: Digests, tmp_path: Path) -> None:
    settings = CorpusSettings(rows=160, val=0, test=0, size=96, rows_per_shard=8)
    code = (
        "import sys; from pathlib import Path; from mue_model.corpus.settings import CorpusSettings;"
        "from mue_model.corpus.write import draw_corpus;"
        "draw_corpus(Path(sys.argv[1]), CorpusSettings.model_validate_json(sys.argv[2]))"
    )
    folder = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), settings.model_dump_json()])
    try:
        while len(list(folder.glob("train/*.tar"))) < 3:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    complete = sorted(folder.glob("train/*.tar"))
    assert 3 <= len(complete) < 20
    for tar in complete:
        with tarfile.open(tar) as archive:
            assert len(archive.getnames()) == 24
        assert tar.with_suffix(".parquet").is_file()
    result = draw_corpus(folder, settings)
    assert result.rows_before == 8 * len(complete)
    draw_corpus(tmp_path / "whole", settings)
    assert digests(folder) == digests(tmp_path / "whole")


def test_drawing_processes_end_with_a_killed_command(small: CorpusSettings) -> None:
    code = (
        "import multiprocessing as m, sys, time; from mue_model.corpus.settings import CorpusSettings;"
        "from mue_model.corpus.workers import draw_blocks; blocks = [('train', n, n + 1) for n in range(10**5)];"
        "rows = draw_blocks(CorpusSettings.model_validate_json(sys.argv[1]), blocks, jobs=2); next(rows);"
        "print(*(child.pid for child in m.active_children()), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, small.model_dump_json()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        children = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        assert len(children) == 2
    finally:
        process.kill()
        process.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def test_a_full_disk_is_told_with_the_file(small: CorpusSettings, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    draw_corpus(folder, small)
    (folder / "val" / "00000.tar").unlink()
    (folder / "val" / "00000.parquet").unlink()
    (folder / "val" / "00000.parquet").mkdir()
    with pytest.raises(CorpusError, match=r"00000\.parquet cannot be written"):
        draw_corpus(folder, small)
    assert not list(folder.rglob("*.partial"))


def test_a_killed_process_is_told_in_one_line(small: CorpusSettings) -> None:
    rows = draw_blocks(small, [("train", number, number + 1) for number in range(2000)], jobs=2)
    next(rows)
    children = multiprocessing.active_children()
    assert len(children) == 2
    children[0].kill()
    with pytest.raises(CorpusError, match="was killed"):
        list(rows)
