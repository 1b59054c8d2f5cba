"""The commands for submitted jobs: to which cluster they speak, and what it is told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from jobs.submissions import claim_submission
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


def mue(*words: object) -> subprocess.CompletedProcess[str]:
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
    refused = mue(*command, job.folder)
    assert refused.returncode == 2, refused.stderr
    assert f"--address {listener.url}" in refused.stderr
    assert listener.heard == []


def test_it_goes_where_the_user_says(job: Any, listener: Listener) -> None:
    claim_submission(job.ledger.storage, run="a", address="http://elsewhere.example:1", spec={})
    assert mue("logs", job.folder, "--address", listener.url).returncode == 1
    assert [headers.get("authorization") for headers in listener.heard] == [f"Bearer {TOKEN}"]
