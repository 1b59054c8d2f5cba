"""`mue model`: model folders."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.model_view import model_document, model_table
from jobs.terminal import Terminal
from mue_model.model_names import model_facts

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Folder = Annotated[str, typer.Argument(metavar="MODEL", help="Model folder, or 'seeded' for the built-in one.")]


@app.callback()
def model() -> None:
    """Convert and look at models.

    \b
    Example:
      mue model convert OFA-tiny/ models/tiny
    """


@app.command()
def convert(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Published OFA folder, or a fairseq .pt file.")],
    target: Annotated[str, typer.Argument(metavar="FOLDER", help="Model folder to write.")],
) -> None:
    """Turn a published checkpoint into a model folder.

    Nothing in the checkpoint is executed: only tensors are read. A missing, extra or misshapen tensor is an error
    that names it.

    \b
    Example:
      mue model convert OFA-tiny/ models/tiny
    """
    from mue_model.convert import convert as convert_checkpoint

    convert_checkpoint(source, target)
    terminal: Terminal = context.obj
    facts = model_facts(target)
    terminal.show(model_table(facts), model_document(facts))


@app.command()
def show(context: typer.Context, folder: Folder) -> None:
    """Print what a model folder says about its model.

    That is its sizes, streams, exit presets and digest; the weights are not loaded.

    \b
    Example:
      mue model show models/tiny
    """
    terminal: Terminal = context.obj
    facts = model_facts(folder)
    terminal.show(model_table(facts), model_document(facts))


@app.command()
def digest(context: typer.Context, folder: Folder) -> None:
    """Print the digest of weights and configuration.

    It is the one that enters a job's fingerprint.

    \b
    Example:
      mue model digest models/tiny
    """
    terminal: Terminal = context.obj
    facts = model_facts(folder)
    terminal.show(facts.digest, {"model": facts.name, "digest": facts.digest})
