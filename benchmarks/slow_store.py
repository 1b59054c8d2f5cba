"""A real http server that gives the files of a folder out no faster than it is told."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

CHUNK_BYTES = 16 << 10


class SlowStore(http.server.ThreadingHTTPServer):
    """All its answers together take at least bytes / `bytes_per_s`."""

    daemon_threads = True
    bytes_per_s = float("inf")

    def __init__(self, folder: Path) -> None:
        self._turn = threading.Lock()
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        """Where the folder's files are."""
        return f"http://127.0.0.1:{self.server_port}"

    def wait_for_turn(self, n_bytes: int) -> None:
        """Return when so many bytes may leave."""
        with self._turn:
            time.sleep(n_bytes / self.bytes_per_s)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: readers are killed while they read."""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def copyfile(self, source: Any, outputfile: Any) -> None:
        assert isinstance(self.server, SlowStore)
        while chunk := source.read(CHUNK_BYTES):
            self.server.wait_for_turn(len(chunk))
            outputfile.write(chunk)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep the terminal for the benchmark."""


@contextmanager
def slow_store(folder: Path) -> Iterator[SlowStore]:
    """Serve `folder` inside the block."""
    with SlowStore(folder) as store:
        thread = threading.Thread(target=store.serve_forever, daemon=True)
        thread.start()
        try:
            yield store
        finally:
            store.shutdown()
            thread.join()
