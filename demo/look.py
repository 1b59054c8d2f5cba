"""Show answers of a job on a drawn shard beside what is right, and depth beside difficulty: a table and a picture.

python demo/look.py OUT SHARD.tar LOOK.png
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections import defaultdict
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table

from jobs.job_folder import open_job
from mue_model.picture_sheet import BLACK, Cell, picture_sheet

PER_LEVEL = 4
RIGHT, WRONG = (20, 110, 40), (170, 30, 30)
COLUMNS = ["key", "status", "text", "image_layers_run", "decoder_layers_run", "meta_json"]


def answers(out: str) -> dict[int, list[dict[str, Any]]]:
    """Return the good rows of a job by level of difficulty; rows are found through the receipts, never by a glob."""
    by_level: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for table in open_job(out).read_live(COLUMNS):
        for row in table.to_pylist():
            facts = json.loads(row["meta_json"]).get("json", {})
            if row["status"] == "ok":
                decoder = sum(row["decoder_layers_run"]) / len(row["decoder_layers_run"])
                by_level[facts["level"]].append({**row, "facts": facts, "decoder": decoder})
    return dict(sorted(by_level.items()))


def is_right(row: dict[str, Any]) -> bool:
    """Whether the caption is one of the references, word for word."""
    return row["text"] in row["facts"]["references"]


def show(by_level: dict[int, list[dict[str, Any]]]) -> None:
    """Print captions beside references, then layers beside difficulty."""
    table = Table(box=None, pad_edge=False)
    for head in ("level", "caption", "", "reference", "image layers", "layers a token"):
        table.add_column(head, justify="right" if "layers" in head else "left")
    summary = Table(box=None, pad_edge=False)
    for head in ("level", "rows", "word for word right", "mean image layers", "mean layers a token"):
        summary.add_column(head, justify="right" if head != "level" else "left")
    for level, rows in by_level.items():
        for row in rows[:PER_LEVEL]:
            mark, decoder = "=" if is_right(row) else "x", f"{row['decoder']:.1f}"
            table.add_row(str(level), row["text"], mark, row["facts"]["caption"], str(row["image_layers_run"]), decoder)
        means = [sum(row[name] for row in rows) / len(rows) for name in ("image_layers_run", "decoder")]
        right = f"{100 * sum(map(is_right, rows)) / len(rows):.0f} %"
        summary.add_row(str(level), str(len(rows)), right, *(f"{mean:.2f}" for mean in means))
    console = Console(width=150, highlight=False)
    console.print("\ncaptions beside references (=: word for word one of five; x: not)\n")
    console.print(table)
    console.print("\ndepth beside difficulty\n")
    console.print(summary)


def draw(by_level: dict[int, list[dict[str, Any]]], shard: str, target: str) -> None:
    """Write one picture: a line of rows for each level, each with its caption and the layers that it took."""
    with tarfile.open(shard) as tar:
        images = {name[:-4]: tar.extractfile(name).read() for name in tar.getnames() if name.endswith(".jpg")}  # type: ignore[union-attr]
    cells = []
    for level, rows in by_level.items():
        for row in rows[:PER_LEVEL]:
            took = f"level {level}: {row['image_layers_run']} image layers, {row['decoder']:.1f} a token"
            texts = ((took, BLACK), (row["text"], RIGHT if is_right(row) else WRONG))
            cells.append(Cell(Image.open(io.BytesIO(images[row["key"]])), texts))
    picture_sheet(cells, columns=PER_LEVEL, text_lines=4).save(target)


if __name__ == "__main__":
    out, shard, target = sys.argv[1:]
    found = answers(out)
    show(found)
    draw(found, shard, target)
    print(f"\npictures with their captions: {target}")
