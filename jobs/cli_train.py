"""The command `mue train`: only parses and prints."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.terminal import Terminal, pairs_table
from jobs.train_spec import load_train_spec
from jobs.training_view import TrainingView
from mue_model.config import Streams
from mue_model.training.recipe import RECIPES
from mue_model.training.sizes import Size


def train(
    context: typer.Context,
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="Folder with shards in train/, and in val/ to validate on.")
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the run; the model will be FOLDER/model."),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"{', '.join(RECIPES)}. published: the sum of the cross-entropies of all decoder layers, the encoder "
            "at full depth. ours: later layers weigh more, the decoder meets encoder streams that left early. "
            "distilled: ours, and earlier layers learn from the last. drawn: ours, as the shipped model was trained.",
        ),
    ] = "ours",
    steps: Annotated[int | None, typer.Option(metavar="N", help="Batches to train on. Default 5000.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides first weights, batches and depths. Default 0.")] = None,
    size: Annotated[
        Size | None, typer.Option(help="Model with new weights: small (the default, below 7 M parameters) or tiny.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Model folder to fine-tune, with its own vocabulary and image size."),
    ] = None,
    streams: Annotated[
        Streams | None,
        typer.Option(help="decomposed or joint. Default: decomposed for new weights, else as the model folder has it."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="ROWS", help="Train on the first ROWS rows only.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting of recipe or training, as in --set recipe.learning_rate=0.0005 or "
            "--set training.validate_every=200. Repeatable; wins over all else.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: CUDA where there is one.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's own choice.")] = 0,
) -> None:
    """Train a captioning model with early exits on a corpus.

    Every decoder layer learns to answer, through one head, so that decoding may end at any of them. A run that is
    stopped or killed goes on when the same command is given again, and on a CPU ends with the same weights as one
    that was not. FOLDER holds metrics.jsonl, curves.png and the checkpoint, and in the end FOLDER/model.

    \b
    Example:
      mue train corpus --output runs/ours
      mue train corpus --output runs/tuned --init models/tiny --streams decomposed
    """
    terminal: Terminal = context.obj
    spec = load_train_spec(
        corpus,
        output,
        recipe=recipe,
        steps=steps,
        seed=seed,
        size=size,
        init=init,
        streams=streams,
        limit=limit,
        device=device,
        threads=threads,
        overrides=overrides or [],
    )
    from jobs.train import train as run_training

    with TrainingView.for_terminal(quiet=terminal.verbosity < 0, log_format=terminal.log_format) as view:
        outcome = run_training(spec, view)
    if outcome.exit_code:
        terminal.error(outcome.reason)
        raise typer.Exit(int(outcome.exit_code))
    facts = {"model": str(outcome.model), "steps": outcome.step}
    if exported := outcome.exported:
        facts |= {
            "parameters": exported.parameters,
            "weights_bytes": exported.weights_bytes,
            "weights_sha256": exported.weights_digest,
        }
    else:
        terminal.note("trained already; nothing was changed")
    terminal.show(pairs_table([(name, str(value)) for name, value in facts.items()]), facts)
