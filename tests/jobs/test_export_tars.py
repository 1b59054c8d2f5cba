from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import webdataset

from jobs.export_tars import write_tars
from mue_model.config import ConfigError
from pipeline.ledger import Ledger
from pipeline.plan import plan_shards
from pipeline.storage import Storage
from pipeline.tar_reader import read_members


def _members(path: Path) -> list[tuple[str, bytes]]:
    with path.open("rb") as stream:
        # Strict to the last byte; then as everyone reads it.
        list(read_members(stream, max_member_bytes=1 << 20))
    with tarfile.open(path) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def _tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def over(job: Any, tmp_path: Path) -> Callable[[Path], Ledger]:
    """A planned job over a tar that is there."""

    def ledger_of(tar: Path) -> Ledger:
        ledger = Ledger(Storage.open(str(tmp_path / "job")))
        ledger.adopt_plan(job.plan.model_copy(update={"shards": tuple(plan_shards([str(tar)]))}))
        job.ledger = ledger
        return ledger

    return ledger_of


_IN = [
    ("readme", b"belongs to no row"),
    ("a.jpg", b"A"),
    ("a.TXT", b"alt"),
    ("dir/b.png", b"B" * 1000),
    ("a.jpg", b"another a"),
    ("c.jpg", b"broken"),
]


def _commit(job: Any) -> None:
    """Parts out of order: the second one has the first images."""
    job.commit("1", job.row("000000-in", 2, key="a", text="third"), job.failed_row("000000-in", 3) | {"key": "c"})
    job.commit("2", job.row("000000-in", 0, key="a", text="first"), job.row("000000-in", 1, key="dir/b", text="second"))


def test_texts_stand_beside_the_members_of_their_own_image(job: Any, over: Any, tmp_path: Path) -> None:
    ledger = over(_tar(tmp_path / "in.tar", _IN))
    _commit(job)
    written = write_tars(ledger, str(tmp_path / "to"), beside=True)
    assert (written.files, written.images, written.repeated_keys, written.broken) == (1, 3, 1, ())
    members = _members(tmp_path / "to/in.tar")
    assert [(name, data) for name, data in members if not name.endswith("json")] == [
        ("a.jpg", b"A"),
        ("a.TXT", b"alt"),
        ("a.mue.txt", b"first"),
        ("dir/b.png", b"B" * 1000),
        ("dir/b.mue.txt", b"second"),
        ("a.jpg", b"another a"),
        ("a.mue.txt", b"third"),
    ]
    facts = [json.loads(data)[0]["uid"] for name, data in members if name.endswith("json")]
    assert facts == ["000000-in/0/0", "000000-in/1/0", "000000-in/2/0"]


def test_of_an_unfinished_job_a_text_is_not_given_to_an_earlier_image_of_the_same_key(
    job: Any, over: Any, tmp_path: Path
) -> None:
    ledger = over(_tar(tmp_path / "in.tar", _IN))
    job.commit("1", job.row("000000-in", 2, key="a", text="third"))
    write_tars(ledger, str(tmp_path / "to"), beside=True)
    assert _members(tmp_path / "to/in.tar")[:2] == [("a.jpg", b"another a"), ("a.mue.txt", b"third")]


def test_webdataset_reads_what_was_written(job: Any, over: Any, tmp_path: Path) -> None:
    ledger = over(_tar(tmp_path / "in.tar", [("a.jpg", b"A"), ("b.jpg", b"B")]))
    job.commit("1", job.row("000000-in", 0, key="a", text="one"), job.row("000000-in", 1, key="b", text="two"))
    write_tars(ledger, str(tmp_path / "to"), beside=True)
    samples = list(webdataset.WebDataset(str(tmp_path / "to/in.tar"), shardshuffle=False, empty_check=False))
    assert [(s["__key__"], s["jpg"], s["mue.txt"]) for s in samples] == [("a", b"A", b"one"), ("b", b"B", b"two")]


def test_texts_alone_under_the_same_keys_and_failures_on_request(job: Any, over: Any, tmp_path: Path) -> None:
    ledger = over(_tar(tmp_path / "in.tar", _IN))
    _commit(job)
    assert write_tars(ledger, str(tmp_path / "ok"), beside=False).images == 3
    assert write_tars(ledger, str(tmp_path / "all"), beside=False, status="all").images == 4
    texts = [(name, data) for name, data in _members(tmp_path / "all/in.tar") if name.endswith("txt")]
    assert texts == [("a.mue.txt", b"first"), ("dir/b.mue.txt", b"second"), ("a.mue.txt", b"third")]
    name, data = _members(tmp_path / "all/in.tar")[-1]
    assert (name, json.loads(data)[0]["error_code"]) == ("c.mue.json", "corrupt_image")


def test_names_and_texts_of_any_length_and_script(job: Any, over: Any, tmp_path: Path) -> None:
    key = "ü" * 200
    ledger = over(_tar(tmp_path / "in.tar", [(f"{key}.jpg", b"A")]))
    job.commit("1", job.row("000000-in", 0, key=key, text="日本" * 400))
    write_tars(ledger, str(tmp_path / "to"), beside=True)
    members = dict(_members(tmp_path / "to/in.tar"))
    assert members[f"{key}.mue.txt"].decode() == "日本" * 400


def test_all_queries_of_an_image_are_in_one_member(finished: Any, make_job: Any, tmp_path: Path) -> None:
    job = make_job("several")
    second = job.row("000000-a", 0, uid="000000-a/0/1", query=1, text="no", meta_json=None)
    job.commit("a", job.row("000000-a", 0, text="yes"), second)
    write_tars(job.ledger, str(tmp_path / "to"), beside=False)
    ((name, data),) = _members(tmp_path / "to/000000-a.tar")
    assert name == "key-0.mue.json"
    assert [(fact["uid"], fact["text"]) for fact in json.loads(data)] == [
        ("000000-a/0/0", "yes"),
        ("000000-a/0/1", "no"),
    ]


def test_inputs_that_are_not_the_planned_ones_are_refused(job: Any, over: Any, tmp_path: Path) -> None:
    ledger = over(_tar(tmp_path / "in.tar", _IN))
    _commit(job)
    _tar(tmp_path / "in.tar", [*_IN, ("d.jpg", b"one more")])
    with pytest.raises(ConfigError, match=r"in\.tar: the shard was .* when it was planned.*leave --beside out"):
        write_tars(ledger, str(tmp_path / "to"), beside=True)
    assert not (tmp_path / "to").exists()


def test_a_key_that_differs_from_the_rows_stops_the_export(job: Any, over: Any, tmp_path: Path) -> None:
    ledger = over(_tar(tmp_path / "in.tar", _IN))
    job.commit("1", job.row("000000-in", 0, key="other"))
    with pytest.raises(ConfigError, match="image 0 has the key 'a', but 000000-in/0/0 says 'other'"):
        write_tars(ledger, str(tmp_path / "to"), beside=True)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_shard_that_breaks_off_gives_what_came_before_and_is_named(job: Any, over: Any, tmp_path: Path) -> None:
    tar = _tar(tmp_path / "in.tar", _IN)
    tar.write_bytes(tar.read_bytes()[: 512 * 10])
    ledger = over(tar)
    job.commit("1", job.row("000000-in", 0, key="a", text="first"))
    written = write_tars(ledger, str(tmp_path / "to"), beside=True)
    assert written.images == 1
    assert "in.tar" in written.broken[0]
