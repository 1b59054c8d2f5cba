"""Logs go to stderr, one event a line, as text or as JSON; stdout stays free for data.

What they name comes from inputs and from other programs: nothing of it reaches a terminal as a command, or as a line
of its own.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Literal

from jobs.printable import printable, printable_json, printable_lines

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
        handler.setFormatter(_JsonLine() if log_format == "json" else _TextLine())
        logger.addHandler(handler)


class _ToStderr(logging.Handler):
    """Looks up stderr at every line: a live progress bar replaces it while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


class _TextLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        lines = [f"{record.levelname} {printable(record.getMessage())}"]
        # Set in from the margin: a line of an exception's own text must not look like an event.
        if record.exc_info:
            lines.append(printable_lines(self.formatException(record.exc_info), indent="  "))
        if record.stack_info:
            lines.append(printable_lines(self.formatStack(record.stack_info), indent="  "))
        return "\n".join(lines)


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
        return printable_json(event)
