"""How every command of `mue` ends, and where its global options may stand."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from jobs.known_errors import KNOWN_ERRORS, exit_code_of
from jobs.terminal import Terminal
from pipeline.exit_codes import ExitCode

_FLAGS = {"--json", "-q", "--quiet", "-v", "--verbose"}


class MueGroup(TyperGroup):
    """The root command: global options may stand anywhere, and known errors end in one line and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with the global options moved to the front."""
        return super().parse_args(ctx, _globals_first(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a fault of ours keeps its traceback."""
        try:
            return super().invoke(ctx)
        except KNOWN_ERRORS as error:
            (ctx.obj or Terminal()).error(error)
            raise typer.Exit(exit_code_of(error)) from error
        except KeyboardInterrupt as error:
            (ctx.obj or Terminal()).note("interrupted; the same command resumes")
            raise typer.Exit(ExitCode.SIGINT) from error
        except BrokenPipeError as error:
            # The reader went away, as in `mue export OUT | head`: nothing more can be said on stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(ExitCode.FAILURE) from error


def _globals_first(args: list[str]) -> list[str]:
    front: list[str] = []
    rest: list[str] = []
    left = iter(args)
    for arg in left:
        if arg == "--":
            rest += [arg, *left]
        elif arg in _FLAGS or arg.startswith("--log-format="):
            front.append(arg)
        elif arg == "--log-format":
            front += [arg, *[value for value in [next(left, None)] if value is not None]]
        else:
            rest.append(arg)
    return front + rest
