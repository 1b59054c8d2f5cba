"""The command `mue model eval`: only parses, builds the engine and prints."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.cli_interrupt import NOTHING_KEPT, interrupt_says
from jobs.cli_options import Exits, Overrides, overrides_of
from jobs.export import write_lines
from jobs.references import DEFAULT, field_references
from jobs.terminal import Terminal
from jobs.trial_questions import TrialTask
from mue_model.model_names import model_facts
from pipeline.canonical_json import canonical_json
from pipeline.row_field import RowField


def eval_(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model folder, or the name of a built-in one.")],
    shards: Annotated[list[str], typer.Argument(metavar="SHARDS", help="Labelled shards: tars, folders or patterns.")],
    task: Annotated[
        TrialTask,
        typer.Option(
            "--task",
            help="caption; entailment: the hypotheses in json:ve; vqa: the questions in json:vqa. Elsewhere with --set "
            "inputs.fields.",
        ),
    ] = "caption",
    exits: Exits = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="FIELD", help="Scores and layers also by the values of a field: json:level."),
    ] = None,
    references: Annotated[
        str,
        typer.Option(
            "--references", "-r", metavar="FIELD", help="Of captions, in the row's members; as for 'mue eval'."
        ),
    ] = DEFAULT,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="IMAGES", min=1, help="Ask about the first images only.")
    ] = None,
    is_blind: Annotated[
        bool, typer.Option("--blind", help="Show a grey picture instead of each image: what does the text give away?")
    ] = False,
    save: Annotated[str | None, typer.Option("--save", metavar="FILE", help="Write all figures as JSON.")] = None,
    overrides: Overrides = None,
) -> None:
    """Try a model on labelled shards: quality beside layers, FLOPs and time.

    No job is needed and nothing is committed: the shards are answered in this process. Captions are scored as by
    'mue eval', entailment by accuracy with the confusion of the labels, VQA by soft accuracy.

    \b
    Example:
      mue model eval runs/ours/model drawn/test --by json:level
      mue model eval runs/ours/model drawn/test --task entailment --by json:level
      mue model eval runs/ours/model drawn/test --task vqa --by json:level
      mue model eval runs/ours/model drawn/test --set exits.image=0.97 --set exits.decoder=0.95
    """
    from jobs.trial import run_trial
    from jobs.trial_questions import Questions, trial_spec
    from jobs.trial_view import trial_facts, trial_view
    from mue_model.loading import build_engine

    terminal: Terminal = context.obj
    field = RowField.parse(by, option="--by") if by is not None else None
    spec = trial_spec(shards, task, overrides_of(overrides, model=model, exits=exits))
    facts = model_facts(spec.model)
    chosen = facts.exits(spec.exits, spec.task)
    questions = Questions(spec, facts, limit=limit, blind=is_blind)
    engine = build_engine(facts, chosen, spec.generation.resolved(facts.generation), spec.engine)
    with interrupt_says(terminal, NOTHING_KEPT):
        trial = run_trial(
            questions,
            engine,
            facts.config,
            field_references(references),
            task=spec.task,
            by=field,
            progress=lambda rows: terminal.note(f"{rows:,} answered"),
        )
    found = trial_facts(trial, facts, chosen, blind=is_blind)
    terminal.show(trial_view(trial, facts, by=by, blind=is_blind), found)
    if questions.skipped:
        terminal.note(f"{questions.skipped:,} images could not be read: they are in no score")
    if questions.unasked:
        terminal.note(f"{questions.unasked:,} queries could not be asked: they are in no score")
    if save is not None:
        write_lines([canonical_json(found, indent=1).decode()], save)
        terminal.note(f"figures written to {save}")
