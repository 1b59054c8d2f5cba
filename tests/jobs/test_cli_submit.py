"""The commands for submitted jobs: to which cluster they speak, and what it is told."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from jobs.cli_submit import logs
from jobs.fake_jobs import FakeJobs, Submitted
from jobs.jobs_client import OUTPUT_LABEL, ClusterJob
from jobs.steering import Scaled
from jobs.submissions import claim_submission
from jobs.terminal import Terminal
from pipeline.control import Scale
from pipeline.spec import InputsConfig, JobSpec, OutputConfig

TOKEN = "hunter2-hunter2-hunter2-hunter2"
COMMANDS = (("logs",), ("resume", "--shared-paths"), ("cancel", "--now"))


class Listener:
    """A machine that somebody else listens on; keeps the headers of what arrives."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append({name.lower(): value for name, value in self.headers.items()})
                self.send_error(403)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


def mue_alone(*words: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own: Ray reads the token once."""
    names = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN_PATH")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    environment |= {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.run(
        [sys.executable, "-c", "from jobs.cli import main; main()", *map(str, words)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_token_does_not_go_where_an_output_folder_says(
    job: Any, listener: Listener, command: tuple[str, ...]
) -> None:
    spec = JobSpec(inputs=InputsConfig(urls=("s3://in/a.tar",)), output=OutputConfig(url=str(job.folder)))
    claim_submission(job.ledger.storage, run="a", address=listener.url, spec=spec.model_dump(mode="json"))
    refused = mue_alone(*command, job.folder)
    assert refused.returncode == 2, refused.stderr
    assert f"--address {listener.url}" in refused.stderr
    assert listener.heard == []


def test_it_goes_where_the_user_says(job: Any, listener: Listener) -> None:
    claim_submission(job.ledger.storage, run="a", address="http://elsewhere.example:1", spec={})
    assert mue_alone("logs", job.folder, "--address", listener.url).returncode == 1
    assert [headers.get("authorization") for headers in listener.heard] == [f"Bearer {TOKEN}"]


def interrupt(*args: Any, **options: Any) -> Any:
    """Stand for what is under way when Ctrl-C comes."""
    raise KeyboardInterrupt


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    found = FakeJobs(place=tmp_path)
    monkeypatch.setattr("jobs.cli_submit._client", lambda address: found)
    return found


@pytest.mark.parametrize(
    ("command", "awaited", "said"),
    [
        ("resume --wait --no-check", "jobs.waiting.wait_for", "the job goes on without this: 'mue status OUT --watch'"),
        ("logs --follow --address x", "jobs.fake_jobs.FakeJobs.follow", "the job does not need this"),
        ("status --watch", "jobs.cli_read.watch_job", "the job does not need this"),
        ("cancel", "jobs.steering.cancel", "what was already asked for stays asked; 'mue status OUT'"),
        ("scale --actors 2", "jobs.steering.scale", "what was already asked for stays asked; 'mue status OUT'"),
    ],
    ids=lambda value: value.split()[0],
)
def test_ctrl_c_ends_the_looking_on_and_not_the_job(
    mue: Callable[..., Result],
    job: Any,
    cluster: FakeJobs,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    awaited: str,
    said: str,
) -> None:
    spec = JobSpec(inputs=InputsConfig(urls=("s3://in/a.tar",)), output=OutputConfig(url=str(job.folder)))
    claim_submission(job.ledger.storage, run="a", address=cluster.address, spec=spec.model_dump(mode="json"))
    cluster.submitted["a-1"] = Submitted(entrypoint="", folder=Path(), metadata={OUTPUT_LABEL: str(job.folder)})
    monkeypatch.setattr(awaited, interrupt)
    monkeypatch.setattr("jobs.cli_submit.trusted_address", lambda address, where: address)
    name, *options = command.split()
    result = mue(name, job.folder, *options)
    assert result.exit_code == 130, result.output
    assert f"interrupted; {said.replace('OUT', str(job.folder))}" in result.stderr
    assert "resumes" not in result.stderr


@pytest.mark.parametrize(
    ("phase", "said"), [("RUNNING", "a-1 is being ended"), ("STOPPED", "a-1 had ended already")], ids=["runs", "ended"]
)
def test_the_cluster_says_whether_there_was_something_to_end(
    mue: Callable[..., Result], job: Any, cluster: FakeJobs, phase: Any, said: str
) -> None:
    claim_submission(job.ledger.storage, run="a", address=cluster.address, spec={})
    cluster.submitted["a-1"] = Submitted(entrypoint="", folder=Path(), metadata={OUTPUT_LABEL: str(job.folder)})
    cluster.script = [ClusterJob(phase=phase)]
    assert said in mue("cancel", job.folder, "--now", "--address", cluster.address).stderr
    assert cluster.stopped == ["a-1"]


@pytest.mark.parametrize("metadata", [{OUTPUT_LABEL: "/elsewhere/out"}, {OUTPUT_LABEL: "s3://b/out"}, {}])
@pytest.mark.parametrize("command", [("logs",), ("logs", "--follow"), ("cancel", "--now")], ids=" ".join)
def test_a_record_that_names_anothers_job_reaches_nothing_of_it(
    mue: Callable[..., Result], job: Any, cluster: FakeJobs, command: tuple[str, ...], metadata: dict[str, str]
) -> None:
    """Whoever can write the output folder can name any job of the cluster there."""
    claim_submission(job.ledger.storage, run="victim", address=cluster.address, spec={})
    cluster.submitted["victim-1"] = Submitted(entrypoint="", folder=Path(), metadata=metadata)
    cluster.script, cluster.text = [ClusterJob(phase="RUNNING")], "its secrets\n"
    refused = mue(*command, job.folder, "--address", cluster.address)
    assert refused.exit_code == 2
    assert "victim-1" in refused.stderr
    assert "is left alone" in refused.stderr
    assert (refused.stdout, cluster.stopped) == ("", [])
    assert not job.ledger.storage.exists("control.json"), "nor is anything asked for"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("follow", [False, True])
def test_a_drivers_text_commands_no_terminal_and_goes_into_a_pipe_as_it_is(
    job: Any, cluster: FakeJobs, monkeypatch: pytest.MonkeyPatch, follow: bool
) -> None:
    claim_submission(job.ledger.storage, run="a", address=cluster.address, spec={})
    cluster.submitted["a-1"] = Submitted(entrypoint="", folder=Path(), metadata={OUTPUT_LABEL: str(job.folder)})
    cluster.text = "\x1b[36m(Actor)\x1b[0m one\n\x1b]0;pwned\x07\x1b[2J\u009b2J\u202etwo\n"
    context: Any = SimpleNamespace(obj=Terminal())
    for screen in (Screen(), io.StringIO()):
        monkeypatch.setattr(sys, "stdout", screen)
        logs(context, str(job.folder), follow=follow, number=None, address=cluster.address)
        if screen.isatty():
            assert screen.getvalue() == "(Actor) one\n\ufffd]0;pwned\ufffd\ufffd[2J\ufffd2J\ufffdtwo\n"
        else:
            assert screen.getvalue() == cluster.text


@pytest.mark.parametrize(
    ("options", "in_force_s", "exit_code"),
    [("", 3.0, 0), ("", None, 1), ("--wait 0", None, 0)],
    ids=["in force", "not in force", "not waited for"],
)
def test_a_script_can_tell_whether_other_actors_came(
    mue: Callable[..., Result],
    job: Any,
    monkeypatch: pytest.MonkeyPatch,
    options: str,
    in_force_s: float | None,
    exit_code: int,
) -> None:
    asked = Scale(id="s", attempt="a1", min=2, max=2)
    done = Scaled(scale=asked, in_force_s=in_force_s, first_part_s=None, ended=in_force_s is None)
    monkeypatch.setattr("jobs.steering.scale", lambda *args, **options: done)
    assert mue("scale", job.folder, "--actors", "2", *options.split()).exit_code == exit_code


@pytest.mark.parametrize("options", ["", "--within 1h"])
def test_a_job_that_does_not_run_has_no_actors_to_advise_on(
    mue: Callable[..., Result], finished: Any, options: str
) -> None:
    refused = mue("scale", finished.folder, "--actors", "1:4", *options.split())
    assert refused.exit_code == 2
    assert "no job is running that could be resized; start or resume it with --actors 1:4" in refused.stderr
