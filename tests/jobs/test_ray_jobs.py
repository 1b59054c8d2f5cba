"""What a job server's answers mean: refused, unknown, or nobody knows."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RpcError

from jobs.jobs_client import ClusterError, ClusterRefused, ClusterSilent, SubmissionTaken, SubmissionUnknown
from jobs.ray_jobs import RayJobs
from mue_model.config import ConfigError


class JobServer:
    """Speaks as Ray's does, and answers to jobs as a test says: a status and a text, or not at all."""

    def __init__(self) -> None:
        self.answer: tuple[int, str] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/api/jobs"):
                    self._say(outer.answer)
                else:
                    self._say((200, json.dumps({"version": "4", "ray_version": "2.60.0", "ray_commit": "x"})))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._say(outer.answer)

            def _say(self, answer: tuple[int, str] | None) -> None:
                if answer is None:
                    self.close_connection = True
                    return
                status, text = answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[JobServer]:
    found = JobServer()
    yield found
    found.server.shutdown()
    found.server.server_close()


ANSWERS = [
    ((404, "Job a-1 does not exist"), SubmissionUnknown),
    (
        (400, "ValueError: Job with submission_id a-1 already exists. Please use a different submission_id."),
        SubmissionTaken,
    ),
    ((500, "RuntimeError: Job with submission_id a-1 already exists."), SubmissionTaken),
    ((400, "ValueError: that is no entrypoint"), ClusterRefused),
    ((500, "Traceback: the agent went away, line 404"), ClusterError),
    ((503, "no healthy upstream"), ClusterError),
    (None, ClusterSilent),
]


@pytest.mark.parametrize(("answer", "error"), ANSWERS)
def test_answers_about_a_job(server: JobServer, answer: tuple[int, str] | None, error: type[Exception]) -> None:
    client = RayJobs(server.url)
    server.answer = answer
    with pytest.raises(ClusterError) as caught:
        client.job("a-1")
    assert type(caught.value) is error


@pytest.mark.parametrize(("answer", "error"), ANSWERS)
def test_answers_to_a_submission(
    server: JobServer, tmp_path: Path, answer: tuple[int, str] | None, error: type[Exception]
) -> None:
    client = RayJobs(server.url)
    server.answer = answer
    (tmp_path / "job.yaml").write_text("x")
    with pytest.raises(ClusterError) as caught:
        client.submit(submission_id="a-1", entrypoint="true", folder=tmp_path, metadata={})
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("metadata", "output"), [({"mue_output": "s3://b/out"}, "s3://b/out"), ({}, None), (None, None)]
)
def test_a_job_says_where_it_writes(server: JobServer, metadata: dict[str, str] | None, output: str | None) -> None:
    facts = {"type": "SUBMISSION", "entrypoint": "true", "status": "RUNNING", "metadata": metadata}
    server.answer = 200, json.dumps(facts | {"submission_id": "a-1"})
    assert RayJobs(server.url).job("a-1").output == output


def test_an_address_that_leads_to_no_cluster_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray looks for a head at HOST:PORT, which raises an error of its own."""

    def nobody(address: str) -> None:
        raise RpcError("Timed out while waiting for GCS to become available.", 4)

    monkeypatch.setattr("jobs.ray_jobs.JobSubmissionClient", nobody)
    with pytest.raises(ClusterSilent, match=r"no Ray answers at 127\.0\.0\.1:1;.* say http://127\.0\.0\.1:1$"):
        RayJobs("127.0.0.1:1")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "os://x",
        "htp://127.0.0.1:8265",
        "HTTP://a:1",
        "http://",
        "http:///x",
        "a:99999",
        "a:0",
        "a:b",
        ":8265",
        f"127.0.0.1:{'9' * 5000}",
    ],
)
def test_what_can_be_no_address_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Another scheme is a module to Ray's client, which it imports; another port it would try for a minute."""
    monkeypatch.setattr("jobs.ray_jobs.JobSubmissionClient", lambda address: pytest.fail("Ray was asked"))
    with pytest.raises(ConfigError, match=r"--address .*expected the dashboard's URL") as refused:
        RayJobs(address)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "address",
    ["auto", "a:6379", "[::1]:6379", "http://a", "https://u:p@a:1/b", "http://[::1]:8265/", "ray://a:10001"],
)
def test_what_can_be_an_address_is_tried(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    def nobody(address: str) -> None:
        raise ConnectionError

    monkeypatch.setattr("jobs.ray_jobs.JobSubmissionClient", nobody)
    with pytest.raises(ClusterSilent, match="no Ray answers"):
        RayJobs(address)


SECRET = "s3cret"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"http://user:{SECRET}@127.0.0.1:9/", "http://127.0.0.1:9/"),
        (f"http://{SECRET}@127.0.0.1:9/x?token={SECRET}#{SECRET}", "http://127.0.0.1:9/x"),
        (f"http://user:pa/{SECRET}@127.0.0.1:9", "http://127.0.0.1:9"),
        (f"http://user:pa?{SECRET}@127.0.0.1:9", "http://..."),
        (f"http://127.0.0.1:9/?token=a@{SECRET}", "http://..."),
        (f"http://user:p://{SECRET}@127.0.0.1:9", "http://127.0.0.1:9"),
        (f"user:{SECRET}@127.0.0.1:9", "127.0.0.1:9"),
        (f"os://user:{SECRET}@127.0.0.1:9", "os://127.0.0.1:9"),
        (f"http://user:{SECRET}@[127.0.0.1:9", "http://[127.0.0.1:9"),
        (f"{SECRET}@http://127.0.0.1:9", "http://127.0.0.1:9"),
    ],
)
@pytest.mark.parametrize("raised", [ConnectionError, RuntimeError, ValueError])
@pytest.mark.parametrize("named", [True, False], ids=["option", "environment"])
def test_an_addresss_secrets_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch, address: str, shown: str, raised: type[Exception], named: bool
) -> None:
    def nobody(given: str | None) -> None:
        raise raised(f"Failed to connect to Ray at address: {address.rstrip('/')}.")

    monkeypatch.setattr("jobs.ray_jobs.JobSubmissionClient", nobody)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises((ClusterError, ConfigError)) as refused:
        RayJobs(address if named else None)
    if named:
        assert shown in str(refused.value)
    assert SECRET not in "".join(traceback.format_exception(refused.value)), "not with -v either"


def test_a_clusters_secrets_are_not_repeated_later(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        def __init__(self, address: str) -> None:
            self.address = address

        def get_address(self) -> str:
            return self.address

        def stop_job(self, submission_id: str) -> bool:
            raise RuntimeError(f"{self.address}: out of order")

    monkeypatch.setattr("jobs.ray_jobs.JobSubmissionClient", Client)
    jobs = RayJobs(f"http://user:{SECRET}@h:1/a?b={SECRET}")
    assert jobs.address == "http://h:1/a"
    with pytest.raises(ClusterError, match="http://h:1/a: http://h:1/a: out of order") as refused:
        jobs.stop("a-1")
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("by_signal", [True, False], ids=["ctrl-c", "no-reader"])
def test_a_log_that_is_no_longer_followed_is_let_go(
    server: JobServer, monkeypatch: pytest.MonkeyPatch, *, by_signal: bool
) -> None:
    let_go: list[str] = []

    async def lines(submission_id: str) -> AsyncIterator[str]:
        try:
            yield "first"
            asyncio.get_running_loop().call_later(0.05, signal.raise_signal, signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)  # as a connection takes to close
            let_go.append(submission_id)

    jobs = RayJobs(server.url)
    monkeypatch.setattr(jobs._client, "tail_job_logs", lines)
    followed = jobs.follow("a-1")
    assert next(followed) == "first"
    if by_signal:
        heeded = signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest's own workers ignore it
        try:
            with pytest.raises(KeyboardInterrupt):
                next(followed)
        finally:
            signal.signal(signal.SIGINT, heeded)
    followed.close()  # type: ignore[attr-defined]
    assert let_go == ["a-1"]
