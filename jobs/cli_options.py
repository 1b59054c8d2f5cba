"""Arguments and options that several commands share; their help is the docstring of the setting they set."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated

import typer

from jobs.settings import help_of
from mue_model.brief import brief
from mue_model.config import ConfigError
from pipeline.spec import MOST_ACTORS

Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="INPUT", help=f"{help_of('inputs.urls')} They replace inputs.urls of the file."),
]
OutputArgument = Annotated[
    str, typer.Argument(metavar="OUT", help="Output folder of the job: a path or an fsspec URL.")
]
OutputOption = Annotated[
    str | None, typer.Option("--output", "-o", metavar="OUT", help=f"{help_of('output.url')} Sets output.url.")
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Job file (YAML). Relative paths in it are relative to the current directory, not to the file.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting, as in --set exits.image=0.9; the value is YAML. Repeatable; wins over all else. "
        "'mue config init' explains every key.",
    ),
]
Task = Annotated[str | None, typer.Option("--task", metavar="TASK", help=help_of("task"))]
Model = Annotated[str | None, typer.Option("--model", metavar="MODEL", help=help_of("model"))]
Exits = Annotated[str | None, typer.Option("--exits", metavar="EXITS", help=f"{help_of('exits')} YAML.")]
Actors = Annotated[
    str | None, typer.Option("--actors", metavar="N or MIN:MAX", help="Model actors: a number, or bounds.")
]
RunName = Annotated[
    str | None,
    typer.Option(
        "--run", metavar="NAME", help="Name of the job on the cluster; left out: told from the output folder."
    ),
]

_BOUNDS = re.compile(r"(?P<low>[0-9]{1,18})(:(?P<high>[0-9]{1,18}))?")


def overrides_of(
    overrides: Sequence[str] | None,
    *,
    task: str | None = None,
    model: str | None = None,
    exits: str | None = None,
    actors: str | None = None,
) -> list[str]:
    """Return all options as `a.b=value` settings; --set comes last, so it wins."""
    named = {"task": task, "model": model}
    found = [f"{name}={json.dumps(value)}" for name, value in named.items() if value is not None]
    if exits is not None:
        found.append(f"exits={exits}")
    if actors is not None:
        low, high = actor_bounds(actors)
        found += [f"actors.min={low}", f"actors.max={high}"]
    return [*found, *(overrides or [])]


def actor_bounds(actors: str) -> tuple[int, int]:
    """Return fewest and most actors of `2` or `2:8`."""
    match = _BOUNDS.fullmatch(actors)
    low, high = (int(match["low"]), int(match["high"] or match["low"])) if match else (0, 0)
    if not 0 < low <= high:
        raise ConfigError(f"--actors {brief(actors)}: expected a number or MIN:MAX, as in --actors 2 or --actors 2:8")
    if high > MOST_ACTORS:
        raise ConfigError(f"--actors {brief(actors)}: a job has at most {MOST_ACTORS:,} actors")
    return low, high
