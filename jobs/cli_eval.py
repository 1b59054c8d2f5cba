"""The command `mue eval`: only parses and prints."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from jobs.cli_options import OutputArgument
from jobs.evaluation import evaluate
from jobs.evaluation_view import evaluation_facts, evaluation_view, notes
from jobs.export import write_lines
from jobs.job_folder import open_job
from jobs.references import DEFAULT, open_references
from jobs.row_field import RowField
from jobs.terminal import Terminal
from mue_model.metrics.tokenisation import pre_tokenised, tokenise
from pipeline.canonical_json import canonical_json


def eval_(
    context: typer.Context,
    output: OutputArgument,
    references: Annotated[
        str,
        typer.Option(
            "--references",
            "-r",
            metavar="FIELD or FILE",
            help="json:captions: a text or a list of texts in the row's JSON member, at that path. txt: the lines of "
            "its text member. Several with semicolons: the first that has any. FILE.jsonl: lines such as "
            '{"key": "000001", "references": ["a bear"]}, with "uid" instead of "key" where keys repeat.',
        ),
    ] = DEFAULT,
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
    """Score the captions of a job against references.

    CIDEr-D, BLEU-1..4 and ROUGE-L as the COCO caption evaluation has them, exact match, what is wrong with captions
    without looking at references, and the layers that were run. Rows are joined by uid or key, never by position;
    rows that cannot be scored are counted and named.

    CIDEr-D and BLEU are of all rows together: the scores of shards or of two jobs cannot be averaged.

    \b
    Example:
      mue eval out
      mue eval out --by json:level --save scores.json
      mue eval out --references captions.jsonl --json
    """
    terminal: Terminal = context.obj
    field = RowField.parse(by, option="--by") if by is not None else None
    found = evaluate(
        open_job(output),
        partial(open_references, references),
        by=field,
        tokeniser=pre_tokenised if are_tokenised else tokenise,
    )
    facts = evaluation_facts(found)
    terminal.show(evaluation_view(found), facts)
    for note in notes(found):
        terminal.note(note)
    if save is not None:
        write_lines([canonical_json(facts, indent=1).decode()], save)
        terminal.note(f"figures written to {save}")
