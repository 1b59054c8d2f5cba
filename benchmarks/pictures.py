"""Captions at full depth and with exits under the same pictures, as one PNG and as text.

    python benchmarks/pictures.py MODEL SHARDS... --out look.png [--rows 10] [--exits default] [--title "..."]

The last line of stdout is one JSON document.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import json
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from jobs.references import DEFAULT, field_references
from jobs.trial_questions import Question, Questions, trial_spec
from mue_model.config import EngineConfig
from mue_model.loading import build_engine
from mue_model.model_folder import ModelFacts
from mue_model.model_names import model_facts
from mue_model.picture_sheet import BLACK, Cell, picture_sheet
from mue_model.rows import RowResult

PER_LINE = 5


def spread(questions: list[Question], rows: int) -> list[Question]:
    """Rows at even distances, so that every level of a drawn corpus is among them."""
    step = max(1, len(questions) // rows) | 1
    return list(islice(questions[::step], rows))


def answers(facts: ModelFacts, preset: str, questions: list[Question]) -> list[RowResult]:
    """The model's answers with the exits of a preset."""
    engine = build_engine(facts, facts.exits(preset), facts.generation, EngineConfig())
    results = engine.submit([question.row for question in questions]).result()
    engine.close()
    return results


def document_of(questions: list[Question], full: list[RowResult], early: list[RowResult]) -> list[dict[str, Any]]:
    """Everything that is shown."""
    references, shown = field_references(DEFAULT), []
    for question, exact, fast in zip(questions, full, early, strict=True):
        texts = references.of(question.row.uid, question.key, question.members)
        assert fast.trace is not None
        decoder = sum(fast.trace.decoder) / len(fast.trace.decoder)
        shown.append(
            {
                "key": question.key,
                "reference": texts[0] if texts else None,
                "full_depth": exact.text,
                "with_exits": fast.text,
                "image_layers": fast.trace.image,
                "decoder_layers": round(decoder, 2),
            }
        )
    return shown


def cell_of(question: Question, facts: dict[str, Any]) -> Cell:
    """A picture, the depths it took, its reference and both captions."""
    depth = f"exits: {facts['image_layers']} image layers, {facts['decoder_layers']} a token"
    texts = [depth, *(f"{name.replace('_', ' ')}: {facts[name]}" for name in ("reference", "full_depth", "with_exits"))]
    return Cell(Image.fromarray(np.asarray(question.row.pixels)), tuple((text, BLACK) for text in texts))


def main() -> None:
    """Answer twice, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--exits", default="default", help="preset")
    parser.add_argument("--title", default="")
    arguments = parser.parse_args()
    facts = model_facts(arguments.model)
    questions = spread(list(Questions(trial_spec(arguments.shards, "caption"), facts, limit=1000)), arguments.rows)
    full, early = (answers(facts, preset, questions) for preset in ("exact", arguments.exits))
    shown = document_of(questions, full, early)
    for row in shown:
        print("\n".join(f"{name:>14}  {value}" for name, value in row.items()), end="\n\n")
    cells = [cell_of(*pair) for pair in zip(questions, shown, strict=True)]
    sheet = picture_sheet(cells, columns=PER_LINE, text_lines=11, title=arguments.title)
    sheet.save(arguments.out, optimize=True)
    print(json.dumps(shown))


if __name__ == "__main__":
    main()
