"""`mue verify`: whether an output folder is what it says, for whoever did not make it."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from jobs.cli_options import OutputArgument
from jobs.counting_view import counting_shown
from jobs.terminal import Terminal


def verify(
    context: typer.Context,
    output: OutputArgument,
    rerun: Annotated[
        int, typer.Option("--rerun", metavar="K", min=0, help="Answer K random rows again, and K with a shadow.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Which rows those are; left out: others each time.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="Model folder, where it is not where the run had it."),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option("--inputs", metavar="FOLDER", help="Where the input shards lie now, if they moved.")
    ] = None,
) -> None:
    """Test an output folder that somebody else made.

    Recomputes the headline with plain SQL over the manifest's parts, and every row's FLOPs from its depths; tests all
    digests, the tiling of every shard, the plan's fingerprint, depths, texts, the shadow audit and the inputs. Prints
    the evidence level, the verdict, and the file and row of everything that does not agree.

    Fails closed: the exit code is 0 only if nothing disagrees and nothing needed is missing, 4 on a mismatch, 5 where
    evidence is missing or empty. Inputs that are not at hand do not fail it, but bound the level.

    \b
    Example:
      mue verify out
      mue verify out --rerun 20 --model models/mine --inputs shards/
    """
    terminal: Terminal = context.obj
    from jobs.verify import VerifySettings
    from jobs.verify import verify as verify_folder
    from jobs.verify_view import verification_view
    from pipeline.ledger import Ledger
    from pipeline.storage import Storage

    settings = VerifySettings(
        model=model, inputs=inputs, rerun=rerun, seed=secrets.randbelow(2**32) if seed is None else seed
    )
    with counting_shown(quiet=terminal.verbosity < 0, what="verifying", unit="rows") as on_rows:
        found = verify_folder(Ledger(Storage.open(output)), settings, on_rows=on_rows)
    terminal.show(verification_view(found), found.document())
    raise typer.Exit(int(found.exit_code))
