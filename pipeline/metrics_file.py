"""The JSON lines of one process in `metrics/`: written anew as a whole, so that a kill costs its last lines at most.

They are evidence, not results: a storage that does not take them is warned of, and the work goes on.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from pipeline.local_folder import LocalFolder
from pipeline.storage import Storage, StorageError

logger = logging.getLogger(__name__)

FOLDER = "metrics"
EVERY_S = 30.0
"""Seconds between two writes while there is work and nothing else asks for one."""
SPACING_S = 2.0
"""Least seconds between two writes to an object store: some take one a second of the same object."""


class MetricsFile:
    """Writes what `lines` gives: when it is told to, and in a thread of its own every `EVERY_S` while there is work.

    So the file stays as it is once the work has ended, and a manifest may vouch for it.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        lines: Callable[[], list[dict[str, Any]]],
        at_work: Callable[[], bool],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        """`name` must be no other process's."""
        self._storage, self._path, self._lines = storage, f"{FOLDER}/{name}.jsonl", lines
        self._at_work, self._every_s = at_work, every_s
        self._spacing_s = 0.0 if isinstance(storage.folder, LocalFolder) else SPACING_S
        self._writing = threading.Lock()
        self._written_at = float("-inf")
        self._wanted = threading.Event()
        self._warned = False
        threading.Thread(target=self._keep_writing, name="mue-metrics", daemon=True).start()

    def write(self) -> None:
        """Write now, or as soon as the store takes another write."""
        if time.monotonic() - self._written_at < self._spacing_s:
            self._wanted.set()
            return
        with self._writing:
            data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self._lines())
            try:
                self._storage.write(self._path, data.encode())
            except StorageError as error:
                if not self._warned:
                    logger.warning("times of this process are not recorded: %s", error)
                self._warned = True
            self._written_at = time.monotonic()

    def _keep_writing(self) -> None:
        while True:
            if self._wanted.wait(self._every_s) or self._at_work():
                time.sleep(max(0.0, self._spacing_s - (time.monotonic() - self._written_at)))
                self._wanted.clear()
                self.write()
