"""`mue corpus`: pictures to train and to test on, drawn here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.progress import ProgressView
from jobs.terminal import Terminal, pairs_table
from mue_model.config import ConfigError, parse_config


def corpus(
    context: typer.Context,
    folder: Annotated[
        str | None, typer.Argument(metavar="OUT", help="Folder to write; may be left out with --preview.")
    ] = None,
    rows: Annotated[int, typer.Option(metavar="N", help="Rows for training.")] = 20_000,
    val: Annotated[int, typer.Option(metavar="N", help="Rows for validation.")] = 1_000,
    test: Annotated[int, typer.Option(metavar="N", help="Rows for tests.")] = 1_000,
    seed: Annotated[
        int,
        typer.Option(metavar="N", help="Another seed draws other scenes. What training never sees stays the same."),
    ] = 0,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Side of the pictures, from 96 to 480.")] = 128,
    levels: Annotated[
        str, typer.Option(metavar="L,L,...", help="Levels of difficulty from 1 to 5, taken in turn.")
    ] = "1,2,3,4,5",
    rows_per_shard: Annotated[int, typer.Option(metavar="N", help="Rows of a shard.")] = 1_000,
    jobs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes that draw. Their number changes nothing but the time.")
    ] = 2,
    preview: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a PNG of twelve pictures a level with their captions.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the corpus that is in OUT.")] = False,
) -> None:
    """Draw a corpus of captioned pictures.

    \b
    Levels:
      1  one object                        "a fox"
      2  two to nine of a kind             "seven keys"
      3  two objects, size, colour, place  "a big red fox left of a small blue cup"
      4  three or more: places that hang together, rows, numbers of two or three
         kinds, the biggest and the smallest of some
      5  the same with look-alikes, clutter, objects behind others and small ones

    Each row has a caption that follows from the picture, four paraphrases, hypotheses that the picture entails,
    contradicts or leaves open, and questions with answers: see the JSON beside each picture. Nouns, noun pairs and
    backgrounds of the test rows are partly ones that no training row shows (field "part").

    The shards in OUT/train, OUT/val and OUT/test have the layout of img2dataset. The same settings give the same
    bytes. Stopped half-way, the same command continues. The pictures are made from OpenMoji (CC BY-SA 4.0), and so
    is the corpus: keep LICENSE and ATTRIBUTION.md with it. Needs pip install 'mue[demo]'.

    \b
    Example:
      mue corpus --preview look.png
      mue corpus drawn --rows 20000 --jobs 2
      mue run 'drawn/test/00000.tar' --output out
    """
    from mue_model.corpus.preview import write_preview
    from mue_model.corpus.settings import CorpusSettings
    from mue_model.corpus.write import draw_corpus

    terminal: Terminal = context.obj
    if folder is None and preview is None:
        raise ConfigError("mue corpus needs a folder to write, as in 'mue corpus drawn', or --preview FILE")
    data = {"rows": rows, "val": val, "test": test, "seed": seed, "size": size, "rows_per_shard": rows_per_shard}
    settings = parse_config(CorpusSettings, {**data, "levels": _levels(levels)}, where="mue corpus")
    facts: dict[str, Any] = {}
    if preview is not None:
        facts |= {"preview": preview, "pictures": write_preview(Path(preview), settings)}
        terminal.note(f"{facts['pictures']} pictures with captions are in {preview}")
    if folder is not None:
        with ProgressView.for_terminal(quiet=terminal.verbosity < 0, log_format=terminal.log_format) as progress:
            drawn = draw_corpus(
                Path(folder),
                settings,
                jobs=jobs,
                force=force,
                progress=lambda done, total, shards_done, shards: progress.update(
                    done, total, False, 0, shards_done, shards
                ),
            )
        facts |= {"output": folder, "rows": drawn.rows, "drawn_now": drawn.rows - drawn.rows_before}
        facts |= {"shards": drawn.shards, "seed": seed, "levels": list(settings.levels), "license": "CC BY-SA 4.0"}
    terminal.show(pairs_table((name, str(value)) for name, value in facts.items()), facts)


def _levels(text: str) -> list[int]:
    """Return the levels of "1,2,5"."""
    try:
        return [int(level) for level in text.split(",")]
    except ValueError as error:
        raise ConfigError(
            f"--levels '{text}': expected numbers from 1 to 5 with commas, as in --levels 1,2,3"
        ) from error
