"""Where a command's words go: data to stdout, everything else to stderr. `NO_COLOR` is honoured by rich."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from jobs.logs import LogFormat
from jobs.printable import printable, printable_json, printable_lines

_WIDTH_OFF_TERMINAL = 160
"""Columns of a table that goes into a file or a pipe."""


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """The global options of one call of `mue`, and how it speaks under them."""

    as_json: bool = False
    verbosity: int = 0
    """-1 is quiet; 1 and more shows debug logs and the traceback of an error."""
    log_format: LogFormat = "text"

    def show(self, view: RenderableType, facts: Any) -> None:
        """Print the result of a command: `facts` as one JSON document with --json, else `view`."""
        if self.as_json:
            self.line(printable_json(facts, indent=2, default=str))
            return
        console = _console(sys.stdout)
        with console.capture() as capture:
            console.print(view)
        # Tables pad their last column: blanks that only disturb in a file.
        for row in capture.get().splitlines():
            self.line(row if console.is_terminal else row.rstrip())

    def line(self, text: str) -> None:
        """Print one line of data as it is."""
        sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """Say something beside the data; not when quiet."""
        if self.verbosity >= 0:
            self._tell("note", text, style="")

    def error(self, error: BaseException | str) -> None:
        """Say what went wrong in one line; with -v the traceback before it."""
        if self.verbosity > 0 and isinstance(error, BaseException):
            print(printable_lines("".join(traceback.format_exception(error)), indent="  "), end="", file=sys.stderr)
        self._tell("error", str(error), style="red")

    def _tell(self, level: str, text: str, *, style: str) -> None:
        if self.log_format == "json":
            print(printable_json({"level": level, "message": text}), file=sys.stderr)
        else:
            line = Text.assemble((f"{level}: " if level == "error" else "") + printable(text), style=style)
            _console(sys.stderr).print(line, soft_wrap=True)


def pairs_table(pairs: Iterable[tuple[str, str]]) -> Table:
    """Return names and values as a table of two columns, the values as plain text without control characters."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True, min_width=23)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, Text(printable(value)))
    return table


def _console(stream: Any) -> Console:
    """A console on the stream as it is now (tests and progress bars replace it)."""
    off_terminal = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, width=_WIDTH_OFF_TERMINAL if off_terminal else None, highlight=False)
