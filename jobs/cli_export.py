"""The command `mue export`: only parses and prints."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from jobs.cli_options import OutputArgument
from jobs.evaluation import refuse_overlaps
from jobs.export import RowsWanted, export_lines, write_lines
from jobs.export_results import result_lines
from jobs.export_tars import write_tars
from jobs.job_folder import open_job
from jobs.printable import printable_lines
from jobs.terminal import Terminal
from mue_model.config import ConfigError
from pipeline.ledger import MANIFEST


def export(
    context: typer.Context,
    output: OutputArgument,
    format: Annotated[
        Literal["jsonl", "txt", "csv", "coco", "ofa", "webdataset"],
        typer.Option(
            "--format",
            "-f",
            help="jsonl, csv: all columns. txt: uid, key, text, by tabs. coco: a list of results by image or question "
            "id. ofa: what OFA's evaluate.py calls test_predict.json. webdataset: a tar for each shard.",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FILE", help="Local file, of webdataset a folder; left out: stdout."),
    ] = None,
    status: Annotated[RowsWanted, typer.Option("--status", help="Rows with a text, or all of them.")] = "ok",
    id_from: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="FIELD",
            help="Of coco and ofa: key, uid, or where each row's id is, as in json:image_id. Left out: key for "
            "captions, else uid.",
        ),
    ] = None,
    beside: Annotated[
        bool,
        typer.Option("--beside", help="Of webdataset: copy the input's members too, each image's before its text."),
    ] = False,
) -> None:
    """Give the rows away: as lines, as results for an evaluator, or as tars.

    Rows are named by uid, and by key, which may repeat; never join them by position. An id that two rows share is
    refused where an evaluator would join by it.

    A tar has KEY.mue.txt, the text, and KEY.mue.json, a list with uid, text, label and status of each query.

    \b
    Example:
      mue export out --format jsonl --to captions.jsonl
      mue export out --format coco --to results.json
      mue export out --format webdataset --beside --to recaptioned/
    """
    terminal: Terminal = context.obj
    ledger = open_job(output)
    refuse_overlaps(ledger)
    if (id_from is not None and format not in ("coco", "ofa")) or (beside and format != "webdataset"):
        wrong = "--id is of coco and ofa" if id_from is not None else "--beside is of webdataset"
        raise ConfigError(f"{wrong}, but the format is {format}")
    if status == "all" and format in ("coco", "ofa"):
        raise ConfigError(f"--status all: {format} has no form for rows without an answer; use jsonl or csv")
    if not ledger.storage.exists(MANIFEST):
        terminal.note("the job is not finished: these are the rows committed so far")
    if format == "webdataset":
        if to is None:
            raise ConfigError("--format webdataset writes a tar for each shard; name a folder, as in --to captions/")
        written = write_tars(ledger, to, beside=beside, status=status)
        terminal.note(f"{written.images:,} images in {written.files:,} tars written to {to}")
        if written.repeated_keys:
            terminal.note(f"{written.repeated_keys:,} of them repeat a key of their shard: tell them apart by uid")
        for broken in written.broken:
            terminal.note(f"{broken}; what came before is there")
        return
    if format == "coco" or format == "ofa":
        lines = result_lines(ledger, format=format, id_from=id_from)
    else:
        lines = export_lines(ledger, format=format, status=status)
    if to is None:
        # On a terminal for people to look at; a file or a pipe gets every character.
        sys.stdout.writelines(map(printable_lines, lines) if sys.stdout.isatty() else lines)
        return
    written_lines = write_lines(lines, to)
    # A list's closing bracket, and the header of a table, are no rows.
    terminal.note(f"{written_lines - (format in ('csv', 'coco', 'ofa')):,} rows written to {to}")
