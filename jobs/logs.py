"""Logs go to stderr, one event a line, as text or as JSON; stdout stays free for data."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal

LogFormat = Literal["text", "json"]
PACKAGES = ("jobs", "pipeline", "mue_model", "cluster")


def configure_logs(*, verbosity: int, log_format: LogFormat) -> None:
    """Send the logs of our own packages to stderr. Verbosity -1: errors; 0: warnings and news; 1 and more: all."""
    level = {-1: logging.ERROR, 0: logging.INFO}.get(verbosity, logging.DEBUG)
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        for handler in [handler for handler in logger.handlers if isinstance(handler, _ToStderr)]:
            logger.removeHandler(handler)
        handler = _ToStderr()
        handler.setFormatter(_JsonLine() if log_format == "json" else logging.Formatter("%(levelname)s %(message)s"))
        logger.addHandler(handler)


class _ToStderr(logging.Handler):
    """Looks up stderr at every line: a live progress bar replaces it while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)
