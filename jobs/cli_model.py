"""`mue model`: model folders."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.cli_model_eval import eval_
from jobs.model_view import model_document, model_table
from jobs.terminal import Terminal
from mue_model.config import Streams
from mue_model.model_names import model_facts

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Folder = Annotated[str, typer.Argument(metavar="MODEL", help="Model folder, or 'demo': the one that ships.")]


@app.callback()
def model() -> None:
    """Convert, look at and try models.

    \b
    Example:
      mue model convert OFA-tiny/ models/tiny
    """


app.command("eval")(eval_)


@app.command()
def convert(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Published OFA folder, or a fairseq .pt file.")],
    target: Annotated[str, typer.Argument(metavar="FOLDER", help="Model folder to write.")],
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder with vocab.json and merges.txt, or with OFA's dict.txt, encoder.json and vocab.bpe. "
            "A .pt file needs it.",
        ),
    ] = None,
    streams: Annotated[
        Streams | None,
        typer.Option(help="How the checkpoint was trained: joint (plain OFA, the default) or decomposed (MuE)."),
    ] = None,
    image_size: Annotated[int, typer.Option(metavar="PIXELS", help="Side to which images are resized.")] = 480,
    force: Annotated[
        bool, typer.Option("--force", help="Replace FOLDER; accept decomposed streams for plain OFA weights.")
    ] = False,
) -> None:
    """Turn a published checkpoint into a model folder.

    Nothing in the checkpoint is executed: only tensors are read. A missing, extra or misshapen tensor is an error
    that names it. FOLDER appears when all of it is written.

    \b
    Example:
      mue model convert OFA-tiny/ models/tiny
      mue model convert caption_mue.pt models/mue --streams decomposed --tokenizer OFA-base/
    """
    from mue_model.convert import convert as convert_checkpoint

    terminal: Terminal = context.obj
    report = convert_checkpoint(
        source, target, tokenizer=tokenizer, streams=streams, image_size=image_size, force=force
    )
    facts = model_facts(target)
    done = {"kind": report.kind, "tensors": report.tensors, "parameters": report.parameters, "notes": report.notes}
    terminal.show(model_table(facts), {**model_document(facts), "converted": done})
    terminal.note(f"{report.tensors} tensors, {report.parameters:,} parameters written to {target}")
    for note in report.notes:
        terminal.note(note)


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
