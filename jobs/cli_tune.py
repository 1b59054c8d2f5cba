"""The command `mue tune`: only parses, writes and prints."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import typer

from jobs.cli_interrupt import NOTHING_KEPT, interrupt_says
from jobs.terminal import Terminal
from jobs.tune_progress import tuning_shown
from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError, parse_config
from mue_model.model_names import model_facts


def _help(name: str) -> str:
    return TuneSettings.model_fields[name].description or ""


def tune(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model folder, or the name of a built-in one.")],
    shards: Annotated[list[str], typer.Argument(metavar="SHARDS", help=_help("shards"))],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for tune.json, tune.png and tune.svg.")
    ],
    tasks: Annotated[str, typer.Option(metavar="TASK,TASK", help=_help("tasks"))] = "caption,entailment",
    images: Annotated[int, typer.Option(metavar="N", help=_help("images"))] = 1000,
    min_quality: Annotated[float | None, typer.Option(metavar="SHARE", help=_help("min_quality"))] = None,
    max_flops: Annotated[float | None, typer.Option(metavar="SHARE", help=_help("max_flops"))] = None,
    fast_quality: Annotated[float, typer.Option(metavar="SHARE", help=_help("fast_quality"))] = 0.97,
    confidence: Annotated[float | None, typer.Option(metavar="CHANCE", help=_help("confidence"))] = None,
    certify: Annotated[float | None, typer.Option(metavar="ALPHA", help=_help("certify"))] = None,
    delta: Annotated[float, typer.Option(metavar="CHANCE", help=_help("delta"))] = 0.05,
    points: Annotated[int, typer.Option(metavar="N", help=_help("points"))] = 12,
    rows: Annotated[int, typer.Option(metavar="N", help=_help("rows"))] = 2000,
    screen_rows: Annotated[int, typer.Option(metavar="N", help=_help("screen_rows"))] = 600,
    points_of: Annotated[
        list[str] | None, typer.Option(metavar="TUNE.JSON", help=_help("points_of") + " Repeatable.")
    ] = None,
    decoder_signal: Annotated[
        str, typer.Option(metavar="similarity|confidence", help=_help("decoder_signal"))
    ] = "similarity",
    by: Annotated[str, typer.Option(metavar="flops|work|time", help=_help("by"))] = "work",
    seed: Annotated[int, typer.Option(metavar="N", help=_help("seed"))] = 0,
    group_size: Annotated[int, typer.Option(metavar="N", help=_help("group_size"))] = 32,
    write: Annotated[
        bool, typer.Option("--write", help="Put the presets into MODEL's exits.json; other presets stay.")
    ] = False,
    default: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --write: the preset that jobs take by default.")
    ] = None,
) -> None:
    """Calibrate exit thresholds: which of them keep the quality, and what they save.

    Thousands of joint thresholds are screened on cached states. The best of them, and constant depths beside them, then
    run freely: quality, FLOPs and time are measured. The presets are exact (full depth), balanced and fast; one preset
    serves every task given, and tasks that are tuned one by one have presets of their own. With --certify a preset must
    also pass a test on images that had no say in the points: that rows which lose a right answer are no more than that
    share.

    \b
    Example:
      mue tune runs/ours/model drawn/val --output tuned
      mue tune runs/ours/model drawn/val --output tuned --images 4000 --rows 4000 --tasks caption --confidence 0.95 \\
        --certify 0.05 --write --default balanced
      mue tune runs/ours/model drawn/val --output tuned/ve --tasks entailment --write
      mue tune runs/ours/model more/val --output sure --images 8000 --rows 8000 --points-of tuned/tune.json --write
    """
    terminal: Terminal = context.obj
    if min_quality is not None and max_flops is not None:
        raise ConfigError("--min-quality and --max-flops each choose 'balanced'; give one of them")
    if default is not None and not write:
        raise ConfigError(f"--default '{default}' is written into the model; give --write too")
    given: dict[str, Any] = {"images": images, "rows": rows, "max_flops": max_flops, "fast_quality": fast_quality}
    given |= {
        "confidence": confidence,
        "certify": certify,
        "delta": delta,
        "points": points,
        "screen_rows": screen_rows,
    }
    given |= {"shards": shards, "tasks": [task.strip() for task in tasks.split(",")], "seed": seed}
    given |= {"decoder_signal": decoder_signal, "points_of": points_of or []}
    given |= {"group_size": group_size, "by": by} | ({} if min_quality is None else {"min_quality": min_quality})
    settings = parse_config(TuneSettings, given, where="mue tune")
    facts = model_facts(model)
    folder = Path(output)
    from jobs.tune import tune as calibrate
    from jobs.tune_document import TUNE_FILE, tune_document, write_document
    from jobs.tune_presets import refuse_unwritable, write_presets
    from jobs.tune_view import tune_view
    from mue_model.training.plot import NO_MATPLOTLIB, can_plot
    from mue_model.tuning.plot import draw_front

    written = folder / TUNE_FILE
    if written.exists():
        raise ConfigError(f"--output {output} holds a calibration already, {written}; give another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"--output {output} cannot be written: {error}") from error
    if write:
        refuse_unwritable(facts, default)
    with (
        interrupt_says(terminal, NOTHING_KEPT),
        tuning_shown(quiet=terminal.verbosity < 0, log_format=terminal.log_format) as progress,
    ):
        found = calibrate(settings, facts, progress)
    document = tune_document(found, settings, facts)
    try:
        changed, now = write_presets(found, settings, facts, document, default=default) if write else ([], None)
    except OSError as error:
        write_document(document, folder)
        raise ConfigError(
            f"presets of '{facts.name}' were not written, but all figures are in {written}: {error}"
        ) from error
    write_document(document, folder)  # last: who finds it finds the presets written too
    chosen = {name: point for name, point in found.chosen.items() if point is not None}
    if can_plot():
        draw_front(found.constants, [p for p in found.points if p.name in found.by_proposal], chosen, folder)
    else:
        terminal.note(NO_MATPLOTLIB)
    terminal.show(tune_view(found, settings), document)
    if found.asked.skipped:
        terminal.note(f"{found.asked.skipped:,} rows could not be read or asked, or have no reference: in no figure")
    terminal.note(f"all figures are in {written}")
    if write:
        terminal.note(f"presets of {facts.name}: {', '.join(changed) + ' written' if changed else 'as they were'}")
        if default not in (None, now):
            terminal.note(f"no preset '{default}' was found: jobs take '{now}' as before")
