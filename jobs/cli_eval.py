"""The command `mue eval`: only parses and prints."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from jobs.answer_evaluation import evaluate_answers
from jobs.answer_evaluation_view import answer_evaluation_facts, answer_evaluation_view, answer_notes
from jobs.cli_options import OutputArgument
from jobs.evaluation import evaluate
from jobs.evaluation_view import evaluation_facts, evaluation_view, notes
from jobs.export import write_lines
from jobs.job_folder import open_job, planned_task
from jobs.references import DEFAULT, open_references, planned_references
from jobs.terminal import Terminal
from mue_model.config import ConfigError
from mue_model.metrics.tokenisation import pre_tokenised, tokenise
from pipeline.canonical_json import canonical_json
from pipeline.row_field import RowField


def eval_(
    context: typer.Context,
    output: OutputArgument,
    references: Annotated[
        str | None,
        typer.Option(
            "--references",
            "-r",
            metavar="FIELD or FILE",
            help="Of captions. json:captions: a text or a list of texts in the row's JSON member, at that path. txt: "
            "the lines of its text member. Several with semicolons: the first that has any. FILE.jsonl: lines such as "
            '{"key": "000001", "references": ["a bear"]}, with "uid" instead of "key" where keys repeat. Left out: the '
            f"job's inputs.fields.references, else {DEFAULT}.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="FIELD",
            help="Of entailment and VQA: where the gold label is, or what people answered. Left out: the job's "
            "inputs.fields.label.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="FIELD", help="Scores and layers also by the values of a field: json:level."),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option("--save", metavar="FILE", help="Write all figures with digests of job and references, as JSON."),
    ] = None,
    are_tokenised: Annotated[
        bool,
        typer.Option(
            "--pre-tokenised", help="Captions and references are words between spaces: take them as they are."
        ),
    ] = False,
) -> None:
    """Score the captions of a job against references, or its answers against labels.

    CIDEr-D, BLEU-1..4 and ROUGE-L as the COCO caption evaluation has them, exact match, what is wrong with captions
    without looking at references, and the layers that were run. Rows are joined by uid or key, never by position;
    rows that cannot be scored are counted and named.

    CIDEr-D and BLEU are of all rows together: the scores of shards or of two jobs cannot be averaged.

    Entailment is scored by accuracy, with the confusion of the labels, and VQA by soft accuracy.

    \b
    Example:
      mue eval out
      mue eval out --by json:level --save scores.json
      mue eval out --references captions.jsonl --json
    """
    terminal: Terminal = context.obj
    field = RowField.parse(by, option="--by") if by is not None else None
    ledger = open_job(output)
    plan = ledger.plan()
    task = planned_task(plan)
    if task == "caption":
        if label is not None:
            raise ConfigError("--label is of entailment and VQA, but this job made captions; give --references")
        found = evaluate(
            ledger,
            partial(planned_references, plan) if references is None else partial(open_references, references),
            by=field,
            tokeniser=pre_tokenised if are_tokenised else tokenise,
        )
        view, facts, said = evaluation_view(found), evaluation_facts(found), notes(found)
    else:
        if references is not None:
            raise ConfigError(f"--references is of captions, but the job's task was {task}; give --label")
        answers = evaluate_answers(ledger, label=label, by=field)
        view, facts, said = answer_evaluation_view(answers), answer_evaluation_facts(answers), answer_notes(answers)
    terminal.show(view, facts)
    for note in said:
        terminal.note(note)
    if save is not None:
        write_lines([canonical_json(facts, indent=1).decode()], save)
        terminal.note(f"figures written to {save}")
