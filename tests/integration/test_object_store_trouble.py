"""An object store that is overloaded, breaks off or is away under real jobs: real sockets, one command, right rows."""

from __future__ import annotations

import http.client
import http.server
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.ledger import Ledger
from pipeline.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
ROWS, SHARDS = 120, 2
DEADLINE_S = 500
HOSTILE = Path(__file__).parent / "hostile"
STATUS = {"SlowDown": 503, "InternalError": 500, "AccessDenied": 403}
BODY = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>please wait</Message></Error>"


class Trouble(http.server.ThreadingHTTPServer):
    """Passes requests on to an S3 server, but for a share of them: 503 SlowDown, 500, or a connection that breaks."""

    daemon_threads = True
    share = 0.0
    read_only = False

    def __init__(self, behind: str) -> None:
        self.behind = urlsplit(behind).netloc
        self.refused: dict[str, int] = dict.fromkeys(("SlowDown", "InternalError", "reset"), 0)
        self._rng = random.Random(0)
        super().__init__(("127.0.0.1", 0), _Passing)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def refusal(self, method: str) -> str | None:
        if self.read_only and method == "PUT":
            return "AccessDenied"
        if self._rng.random() >= self.share:
            return None
        how = self._rng.choice(list(self.refused))
        self.refused[how] += 1
        return how

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients are killed in mid-flight."""


class _Passing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        assert isinstance(self.server, Trouble)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        how = self.server.refusal(self.command)
        if how == "reset":
            self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif how:
            self._answer(STATUS[how], [], BODY.format(code=how).encode())
        else:
            behind = http.client.HTTPConnection(self.server.behind, timeout=60)
            behind.request(self.command, self.path, body, dict(self.headers))
            answer = behind.getresponse()
            self._answer(answer.status, answer.getheaders(), answer.read())
            behind.close()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_one

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        sent = [(name, value) for name, value in headers if name.lower() not in ("transfer-encoding", "connection")]
        if not any(name.lower() == "content-length" for name, _ in sent):
            sent.append(("Content-Length", str(len(body))))
        for name, value in sent:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def trouble(s3_server: str) -> Iterator[Trouble]:
    """A store that gives no trouble yet."""
    with Trouble(s3_server) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def start(
    shards: str, output: str, store: str, log: Path, *, hostile: bool = False, **marked: str
) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(HOSTILE)] * hostile + [os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled", "AWS_ENDPOINT_URL": store, **marked}
    settings = ("output.rows_per_part=16", "actors.rows_per_call=8", "engine.threads=1", "model=seeded")
    options = [word for one in settings for word in ("--set", one)]
    program = [sys.executable, "-c", "from jobs.cli import main; main()", "run", shards, "--output", output]
    with log.open("wb") as stderr:
        return subprocess.Popen([*program, *options], stdout=subprocess.DEVNULL, stderr=stderr, env=environment)


def committed(output: str) -> dict[str, dict[str, Any]]:
    """The live rows by uid, as the store itself tells them; asserts that none is there twice."""
    rows = [row for table in Ledger(Storage.open(output)).read_live() for row in table.to_pylist()]
    by_uid = {row["uid"]: row for row in rows}
    assert len(by_uid) == len(rows), "a row is committed twice"
    return by_uid


def wait_for_receipts(job: subprocess.Popen[bytes], output: str, receipts: int, log: Path) -> None:
    storage, deadline = Storage.open(output), time.monotonic() + DEADLINE_S
    while len(storage.list("done")) < receipts:
        assert job.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, draw_shard: Callable[..., dict[str, bytes]]) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    for shard in range(SHARDS):
        draw_shard(folder / f"{shard:05d}.tar", ROWS, seed=shard)
    return folder


@pytest.fixture(scope="module")
def undisturbed(drawn: Path) -> dict[str, dict[str, Any]]:
    """What the job says when it works on a local disk and nobody interferes."""
    output, log = drawn / "out", drawn / "stderr.txt"
    assert start(f"{drawn}/*.tar", str(output), "", log).wait(DEADLINE_S) == 0, log.read_text()
    rows = committed(str(output))
    assert len(rows) == ROWS * SHARDS
    assert len({row["text"] for row in rows.values()}) > ROWS / 4, "the texts must tell rows apart"
    return rows


@pytest.fixture
def in_store(bucket: str, drawn: Path) -> str:
    """The shards, in a bucket of their own."""
    for shard in drawn.glob("*.tar"):
        Storage.open(f"{bucket}/in").write(shard.name, shard.read_bytes())
    return bucket


def assert_same_answers(found: dict[str, dict[str, Any]], undisturbed: dict[str, dict[str, Any]]) -> None:
    answers = ("key", "text", "status", "image_layers_run", "decoder_layers_run", "flops_executed")
    assert {uid: [row[name] for name in answers] for uid, row in found.items()} == {
        uid: [row[name] for name in answers] for uid, row in undisturbed.items()
    }


def test_every_tenth_request_fails_and_a_row_kills_the_model(
    tmp_path: Path, in_store: str, trouble: Trouble, undisturbed: dict[str, dict[str, Any]]
) -> None:
    poison, output, log = "000000-00000/17/0", f"{in_store}/out", tmp_path / "stderr.txt"
    trouble.share = 0.1

    job = start(f"{in_store}/in/*.tar", output, trouble.url, log, hostile=True, MUE_TEST_KILL=poison)

    assert job.wait(DEADLINE_S) == 0, log.read_text()
    rows = committed(output)
    assert all(trouble.refused.values()), "every kind of trouble occurred"
    assert (rows[poison]["status"], rows[poison]["error_stage"], rows[poison]["error_code"]) == (
        *("failed", "infer", "poison"),
    )
    assert Storage.open(output).list("intents") == [], "what is committed is under no suspicion"
    del rows[poison]
    assert_same_answers(rows, {uid: row for uid, row in undisturbed.items() if uid != poison})


def test_a_stop_and_a_store_that_refuses_writes_lose_nothing(
    tmp_path: Path, in_store: str, trouble: Trouble, undisturbed: dict[str, dict[str, Any]]
) -> None:
    shards, output, log = f"{in_store}/in/*.tar", f"{in_store}/out", tmp_path / "stderr.txt"
    stopped = start(shards, output, trouble.url, log)
    wait_for_receipts(stopped, output, 2, log)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(DEADLINE_S) == 75, log.read_text()
    drained = len(committed(output))
    assert 0 < drained < ROWS * SHARDS
    assert f"error: stopped by SIGTERM: {drained} rows are committed" in log.read_text()

    trouble.read_only = True
    refused = start(shards, output, trouble.url, log)
    assert refused.wait(DEADLINE_S) == 1, log.read_text()
    [error] = [line for line in log.read_text().splitlines() if line.startswith("error:")]
    assert "no permission" in error
    assert "check the owner of the folder, or the credentials" in error
    assert "Traceback" not in log.read_text()

    trouble.read_only = False
    again = start(shards, output, trouble.url, log)
    assert again.wait(DEADLINE_S) == 0, log.read_text()
    assert_same_answers(committed(output), undisturbed)
