"""The pages under docs/: every command is run by a test, or says that it was not; what needs no cluster runs here."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
import typer
import yaml
from typer.testing import Result

from jobs.cli import app
from jobs.fake_jobs import FakeJobs, Submitted
from jobs.jobs_client import ClusterJob
from jobs.run_record import RunRecord
from jobs.spec import load_spec
from jobs.submissions import submissions
from pipeline.control import read_control, scale_of
from pipeline.driver_identity import Driver
from pipeline.exit_codes import ExitCode
from pipeline.lease import take_lease
from pipeline.ledger import Ledger
from pipeline.records import COMMIT_SCHEMA
from pipeline.spec import JobSpec
from pipeline.storage import Storage

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("laptop", "ray-cluster", "kubernetes", "slurm", "audit", "calibration")
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]*?) -->\n)?```sh\n(?P<body>.*?)```", re.DOTALL)


def blocks(page: str) -> list[tuple[str, list[str]]]:
    """The shell blocks of a page: how each is marked, and its commands."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    return [(match["mark"] or "", match["body"].strip().splitlines()) for match in BLOCK.finditer(text)]


def commands(page: str) -> list[list[str]]:
    """The words of every `mue` command on a page, without comments, pipes and files."""
    found = []
    for _, lines in blocks(page):
        for line in lines:
            words = shlex.split(line, comments=True)
            ends = [n for n, word in enumerate(words) if word in (">", "|", "&")]
            found.append(words[: ends[0]] if ends else words)
    return [words for words in found if words[0] == "mue"]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_whether_it_was_run(page: str) -> None:
    found = blocks(page)
    assert found
    for mark, lines in found:
        assert re.match(r"run$|rendered only: .+|shown only: .+", mark), lines
        assert mark.startswith("rendered only") or not any(
            line.startswith(("kubectl", "docker", "sbatch")) for line in lines
        )


def test_a_job_of_any_size_can_be_applied() -> None:
    """Else kubectl writes a copy into an annotation, which takes 256 KiB; a job's file may have 1 MiB."""
    root = DOCS.parent
    texts = [
        path.read_text("utf-8") for path in (DOCS / "kubernetes.md", root / "README.md", root / "jobs/cli_cluster.py")
    ]
    found = [line for text in texts for line in text.splitlines() if "kubectl apply " in line]
    assert len(found) == 4
    assert all("kubectl apply --server-side -f" in line for line in found)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_exists(page: str) -> None:
    root = typer.main.get_command(app)
    for words in commands(page):
        command, rest = root, words[1:]
        rest = rest[2:] if rest[0] == "--log-format" else rest
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert not [word for word in rest if word.startswith("--") and word not in options], words


@pytest.mark.parametrize(("page", "kinds"), [("kubernetes", {"RayJob", "RayCluster", "ConfigMap"}), ("slurm", set())])
def test_what_is_rendered_there_renders(
    mue: Callable[..., Result], page: str, kinds: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: set[str] = set()
    for mark, lines in blocks(page):
        for line in lines if mark == "run" else []:
            command, _, file = line.partition(" > ")
            done = mue(*shlex.split(command)[1:])
            assert done.exit_code == 0, (line, done.stderr)
            (tmp_path / file).write_text(done.stdout)
            if "render ray" in line:
                seen |= {document["kind"] for document in yaml.safe_load_all(done.stdout)}
            elif "render slurm" in line:
                assert done.stdout.startswith("#!/usr/bin/env bash")
    assert seen == kinds


class ClusterPage:
    """docs/ray-cluster.md, typed at the job server that ships, with two shards in a bucket for its thousand."""

    def __init__(self, mue: Callable[..., Result], bucket: str, client: FakeJobs, other: FakeJobs) -> None:
        self.mue, self.bucket, self.client, self.other = mue, bucket, client, other
        self.output = f"{bucket}/out/run"

    def type(self, first: str) -> list[tuple[str, Result]]:
        """The `mue` commands of the block whose first such command begins so; each ends with 0."""
        [lines] = [
            found
            for mark, lines in blocks("ray-cluster")
            if mark == "run" and (found := mues(lines))[0].startswith(first)
        ]
        done = []
        for line in lines:
            there = (
                line.replace("s3://out/run", self.output)
                .replace("s3://in/", f"{self.bucket}/in/")
                .replace("00999", "00001")
            )
            done.append((line, self.mue(*shlex.split(there, comments=True)[1:])))
            assert done[-1][1].exit_code == 0, (line, done[-1][1].stderr)
        return done


def mues(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("mue ")]


@pytest.fixture
def cluster_page(
    mue: Callable[..., Result], labelled: Path, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ClusterPage:
    for number in range(2):
        with fsspec.open(f"{s3_bucket}/in/{number:05d}.tar", "wb") as file:
            file.write(labelled.read_bytes())
    client, other = FakeJobs(place=tmp_path / "a"), FakeJobs(place=tmp_path / "b", address="http://other:8265")
    monkeypatch.setattr(
        "jobs.cli_submit._client", lambda address: {each.address: each for each in (client, other)}[address]
    )
    return ClusterPage(mue, s3_bucket, client, other)


def sent(submitted: Submitted) -> JobSpec:
    return load_spec(str(submitted.folder / "job.yaml"), inputs=[], output=None, overrides=[])


def test_a_job_is_submitted_and_followed_as_the_page_says(
    cluster_page: ClusterPage, run_here: Callable[..., Ledger]
) -> None:
    def run(submitted: Submitted) -> None:
        spec = sent(submitted)
        run_here(spec.output.url, spec.inputs.urls, actors=spec.actors.model_dump())

    cluster_page.client.on_submit, cluster_page.client.text = run, '{"msg": "rows are in"}\n'
    (_, submit), (_, logs), (_, status) = cluster_page.type("mue submit")
    assert "mue logs" in submit.output
    assert logs.stdout == cluster_page.client.text
    assert "finished" in status.stdout
    [job] = cluster_page.client.submitted.values()
    assert (sent(job).actors.min, sent(job).actors.max) == (2, 8)


class SteeredJob:
    """A driver on a cluster: one shard is done, and it does what it is asked for until it is told to end."""

    def __init__(self, submitted: Submitted, rows: Any) -> None:
        self.spec, self.rows = sent(submitted), rows
        self.ledger = Ledger(Storage.open(self.spec.output.url))
        self.done, self.next = self.ledger.plan().shards[0].shard_id, 0
        self.open = self.ledger.plan().shards[1].shard_id
        self.lease = take_lease(self.ledger.storage, Driver.this("a1"), length_s=60)
        self.record = RunRecord(self.ledger, self.spec, "a1")
        self.commit("a1-0000-000000", *(rows.row(self.done, n) for n in range(16)), rows.end(self.done, 16))
        self.thread = threading.Thread(target=self.drive, daemon=True)
        self.thread.start()

    def commit(self, name: str, *rows: dict[str, Any]) -> None:
        table = pa.Table.from_pylist(list(rows), schema=COMMIT_SCHEMA)
        self.ledger.commit(table, name=name, attempt=name[:2], fingerprint=self.ledger.plan().fingerprint)

    def drive(self) -> None:
        known = None
        while read_control(self.ledger.storage).stop != "a1":
            asked = scale_of(self.ledger.storage, "a1")
            if asked is not None and asked != known:
                known, self.next = asked, self.next + 1
                self.record.note_scale(asked, self.next)
                self.commit(f"a1-{self.next:04d}-000000", self.rows.row(self.open, self.next - 1))
            time.sleep(0.05)
        self.record.end(ExitCode.INTERRUPTED)
        self.lease.release()

    def finish(self) -> None:
        """What the next attempt does."""
        self.thread.join(timeout=30)
        rest = [self.rows.row(self.open, n, attempt_id="a2") for n in range(self.next, 16)]
        self.commit("a2-0000-000000", *rest, self.rows.end(self.open, 16))
        self.ledger.finalize(self.ledger.plan())


def test_a_running_job_is_steered_ended_and_resumed_as_the_page_says(cluster_page: ClusterPage, job: Any) -> None:
    runs: list[SteeredJob] = []

    def on_submit(submitted: Submitted) -> None:
        if runs:
            runs[0].finish()
            cluster_page.client.script = [ClusterJob(phase="SUCCEEDED")]
        else:
            runs.append(SteeredJob(submitted, job))

    cluster_page.client.on_submit = on_submit
    inputs = f"{cluster_page.bucket}/in/{{00000..00001}}.tar"
    words = ("--output", cluster_page.output, "--address", cluster_page.client.address)
    assert cluster_page.mue("submit", inputs, *words).exit_code == 0
    done = {line.split("#")[0].strip(): result for line, result in cluster_page.type("mue scale")}
    assert list(done) == [
        "mue scale s3://out/run --actors 2:8",
        "mue scale s3://out/run --actors 1:64 --within 2h",
        "mue cancel s3://out/run",
        "mue resume s3://out/run --wait",
        "mue resume s3://out/run --address http://other:8265",
    ]
    scaled, advised, cancelled, resumed, elsewhere = (result.output for result in done.values())
    assert "2 to 8" in scaled
    assert "rows are left" in advised
    assert "after" in cancelled
    assert len(cluster_page.client.submitted) == 2
    assert len(cluster_page.other.submitted) == 1
    assert runs[0].ledger.finalized(runs[0].ledger.plan())
    assert "http://other:8265" in elsewhere
    assert "exit code" in resumed
    assert len(submissions(runs[0].ledger.storage)) == 3


def test_a_large_cluster_is_planned_for_as_the_page_says(cluster_page: ClusterPage) -> None:
    [(line, plan)] = cluster_page.type("mue plan")
    assert "--nodes 64" in line
    assert "64 nodes of 96 CPUs, 8 GPUs; 512 actors" in " ".join(plan.stdout.split())
