"""Handing a job over: what is checked before anything leaves, and what arrives."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.fake_jobs import FakeJobs, Submitted
from jobs.jobs_client import ClusterError, ClusterRefused, ClusterSilent, SubmissionTaken
from jobs.spec import load_spec
from jobs.submissions import submissions
from jobs.submit import SubmitOptions, is_this_machine, resume_spec, submit_job
from jobs.trusted_clusters import trusted_address
from mue_model.config import ConfigError
from pipeline.driver_identity import Driver
from pipeline.lease import LeaseHeld, take_lease
from pipeline.ledger import Ledger
from pipeline.plan import PlanError
from pipeline.plan_match import FingerprintMismatch
from pipeline.spec import JobSpec
from pipeline.storage import Storage


@pytest.fixture
def client(tmp_path: Path) -> FakeJobs:
    (tmp_path / "cluster").mkdir()
    return FakeJobs(place=tmp_path / "cluster")


@pytest.fixture
def spec_of(tmp_path: Path) -> Callable[..., JobSpec]:
    (tmp_path / "a.tar").write_bytes(bytes(1024))

    def make(*inputs: str, output: str = str(tmp_path / "out"), model: str = "seeded", **overrides: Any) -> JobSpec:
        settings = [f"model={model}", *(f"{key}={value}" for key, value in overrides.items())]
        return load_spec(None, inputs=list(inputs) or [str(tmp_path / "a.tar")], output=output, overrides=settings)

    return make


def test_a_job_arrives_with_its_settings_and_an_id_of_its_own(
    client: FakeJobs, spec_of: Callable[..., JobSpec], tmp_path: Path
) -> None:
    first = submit_job(spec_of(), client, SubmitOptions())
    second = submit_job(spec_of(), client, SubmitOptions(run="mine"))
    assert first.id == f"{first.run}-1"
    assert second.id == "mine-2"
    arrived = client.submitted[first.id]
    sent = load_spec(str(arrived.folder / "job.yaml"), inputs=[], output=None, overrides=[])
    assert sent == spec_of()
    assert arrived.metadata == {"mue_output": str(tmp_path / "out"), "mue_run": first.run}
    assert arrived.entrypoint.split()[-2:] == ["-c", "job.yaml"]
    storage = Storage.open(str(tmp_path / "out"))
    assert [known.id for known in submissions(storage)] == [first.id, second.id]
    assert resume_spec(storage) == spec_of()
    assert Ledger(storage).plan().shards, "its status can be told from now on"


def test_a_cluster_is_trusted_from_the_first_job_on(client: FakeJobs, spec_of: Callable[..., JobSpec]) -> None:
    client.address, client.nodes = "http://cluster.example:8265", frozenset({"198.51.100.7"})
    with pytest.raises(ConfigError, match="the cluster at"):
        submit_job(spec_of(), client, SubmitOptions())
    with pytest.raises(ConfigError, match="handed no job"):
        trusted_address(client.address, where="")
    submit_job(spec_of(), client, SubmitOptions(shared_paths=True))
    assert trusted_address(client.address, where="")


def test_paths_arrive_absolute(
    client: FakeJobs, spec_of: Callable[..., JobSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = submit_job(spec_of("a.tar", output="out"), client, SubmitOptions())
    assert found.spec["inputs"]["urls"] == [str(tmp_path / "a.tar")]
    assert found.spec["output"]["url"] == str(tmp_path / "out")


def test_a_path_on_this_machine_is_refused_where_the_cluster_has_others(
    client: FakeJobs, spec_of: Callable[..., JobSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.nodes = frozenset({"127.0.0.1", "198.51.100.7"})
    with pytest.raises(ConfigError, match=r"output.url = .*out, inputs.urls = .*the cluster at http://127.0.0.1:8265"):
        submit_job(spec_of(), client, SubmitOptions())
    assert not client.submitted
    assert not (tmp_path / "out").exists(), "nothing was written"
    client.nodes = frozenset()
    monkeypatch.setattr("jobs.submit._ASKED_AGAIN", 1)
    with pytest.raises(ConfigError, match="names no node that lives"):
        submit_job(spec_of(), client, SubmitOptions())
    submit_job(spec_of(), client, SubmitOptions(shared_paths=True))
    assert client.submitted


def test_a_cluster_is_this_machine_only_if_all_its_nodes_say_so(client: FakeJobs) -> None:
    waited: list[float] = []
    assert is_this_machine(client)
    client.nodes = frozenset()
    assert not is_this_machine(client, sleep=waited.append), "a tunnel's end is on this machine too"
    assert len(waited) == 10


def test_what_a_run_would_refuse_is_refused_before_anything_is_sent(
    client: FakeJobs, spec_of: Callable[..., JobSpec], tmp_path: Path
) -> None:
    with pytest.raises(PlanError, match=r"b\.tar"):
        submit_job(spec_of(str(tmp_path / "b.tar")), client, SubmitOptions())
    with pytest.raises(ConfigError, match="exits"):
        submit_job(spec_of(exits="unheard-of"), client, SubmitOptions())
    submit_job(spec_of(), client, SubmitOptions())
    (tmp_path / "c.tar").write_bytes(bytes(1024))
    with pytest.raises(FingerprintMismatch):
        submit_job(spec_of(str(tmp_path / "c.tar")), client, SubmitOptions())
    assert len(client.submitted) == 1
    submit_job(spec_of(str(tmp_path / "b.tar"), output=str(tmp_path / "o2")), client, SubmitOptions(check=False))


def test_a_folder_that_is_being_worked_on_is_left_alone(
    client: FakeJobs, spec_of: Callable[..., JobSpec], tmp_path: Path
) -> None:
    submit_job(spec_of(), client, SubmitOptions())
    storage = Storage.open(str(tmp_path / "out"))
    lease = take_lease(storage, Driver.this("a1"), length_s=60)
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()}"):
        submit_job(spec_of(), client, SubmitOptions())
    lease.release()
    assert submit_job(spec_of(), client, SubmitOptions()).number == 2


def test_a_name_that_another_job_had_is_refused_and_no_record_stays(
    client: FakeJobs, spec_of: Callable[..., JobSpec], tmp_path: Path
) -> None:
    submit_job(spec_of(), client, SubmitOptions(run="mine"))
    with pytest.raises(SubmissionTaken, match="--run"):
        submit_job(spec_of(output=str(tmp_path / "other")), client, SubmitOptions(run="mine"))
    assert submissions(Storage.open(str(tmp_path / "other"))) == []


def test_a_name_that_was_not_given_passes_over_numbers_that_the_cluster_has_had(
    client: FakeJobs, spec_of: Callable[..., JobSpec], tmp_path: Path
) -> None:
    storage = Storage.open(str(tmp_path / "out"))
    submit_job(spec_of(), client, SubmitOptions())
    submit_job(spec_of(), client, SubmitOptions())
    for known in submissions(storage):
        storage.delete(known.path)
    found = submit_job(spec_of(), client, SubmitOptions())
    assert found.number == 3
    assert submissions(storage) == [found]
    assert list(client.submitted) == [f"{found.run}-{number}" for number in (1, 2, 3)]
    client.submitted[f"{found.run}-4"] = client.submitted[found.id]
    again = submit_job(spec_of(), client, SubmitOptions(run=found.run))
    assert again.number == 5, "a resumed job goes on under the folder's own name"


def test_what_the_cluster_refused_leaves_no_record_and_what_it_may_have_taken_does(
    client: FakeJobs, spec_of: Callable[..., JobSpec], tmp_path: Path
) -> None:
    storage = Storage.open(str(tmp_path / "out"))

    def answer(error: BaseException) -> Callable[[Submitted], None]:
        def raised(submitted: Submitted) -> None:
            raise error

        return raised

    client.on_submit = answer(ClusterRefused("no"))
    with pytest.raises(ClusterRefused, match=r"^no$"):
        submit_job(spec_of(), client, SubmitOptions(run="mine"))
    assert submissions(storage) == []
    client.submitted.clear()
    shutil.rmtree(client.place / "mine-1")
    for number, error in enumerate((ClusterSilent("lost"), ClusterError("503")), start=1):
        client.on_submit = answer(error)
        with pytest.raises(type(error), match=f"it may have taken mine-{number} all the same: 'mue status"):
            submit_job(spec_of(), client, SubmitOptions(run="mine"))
    client.on_submit = answer(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        submit_job(spec_of(), client, SubmitOptions(run="mine"))
    assert [known.id for known in submissions(storage)] == ["mine-1", "mine-2", "mine-3"]
    client.on_submit = lambda submitted: None
    assert submit_job(spec_of(), client, SubmitOptions(run="mine")).number == 4


def test_no_secret_of_the_environment_or_the_address_is_sent_or_recorded(
    client: FakeJobs, spec_of: Callable[..., JobSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "hunter2-hunter2")
    found = submit_job(spec_of(), client, SubmitOptions())
    sent = client.submitted[found.id]
    texts = [repr(dataclasses.asdict(sent)), *(p.read_text("utf-8", "replace") for p in sent.folder.rglob("*.yaml"))]
    texts += [path.read_text() for path in (tmp_path / "out").rglob("*.json")]
    assert len(texts) > 3
    assert not any("hunter2" in text for text in texts)
