"""What models that were trained in other ways are worth at full depth and where layers are left out.

    python benchmarks/ablation_figures.py drawn/val MODEL... [--images 200] [--entailment-images 50]

Each model runs at full depth, at constant depths, and with one of its stacks cut to two layers: who was never asked to
answer early shows it in the decoder, who never met a memory that left early in the encoder. Prints a table and, as the
last line, one JSON document.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.quality import quality_of
from jobs.free_runs import free_runs
from jobs.references import DEFAULT, field_references
from jobs.trial_questions import Questions, trial_spec
from mue_model.config import EngineConfig, ExitConfig, ModelConfig
from mue_model.model_names import model_facts
from mue_model.tuning.family import constant_depth, constant_vector


def points_of(config: ModelConfig) -> dict[str, ExitConfig]:
    """Return the points by name, those that a model of this depth has."""
    encoder, decoder = constant_vector(2, config.encoder_layers), constant_vector(2, config.decoder_layers)
    points = {"full depth": ExitConfig()}
    points |= {
        f"constant {depth}": constant_depth(config, depth) for depth in (2, 3, 4) if depth < config.decoder_layers
    }
    return points | {
        "encoder 2": ExitConfig(image=encoder, text=encoder, joint=encoder),
        "decoder 2": ExitConfig(decoder=decoder),
    }


def figures(model: str, shards: list[str], images: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Return quality and FLOPs by task and point."""
    facts, found = model_facts(model), {}
    for task, limit in images.items():
        spec = trial_spec(shards, "caption" if task == "caption" else "entailment")
        questions = list(Questions(spec, facts, limit=limit))
        runs = free_runs(
            facts, points_of(facts.config), questions, field_references(DEFAULT),
            task=task, group_size=EngineConfig().group_size, rounds=1,
        )  # fmt: skip
        found[task] = {
            name: {"quality": quality_of(run.trial.all), "flops_per_row": run.trial.all.flops_executed / len(questions)}
            for name, run in runs.items()
        }
    return found


def main() -> None:
    """Run all models over the same rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--images", type=int, default=200, help="of captions")
    parser.add_argument("--entailment-images", type=int, default=50)
    arguments = parser.parse_args()
    images = {"caption": arguments.images, "entailment": arguments.entailment_images}
    document = {model: figures(model, [arguments.shards], images) for model in arguments.models}
    for task in images:
        heads = list(dict.fromkeys(name for own in document.values() for name in own[task]))
        table = Table("", *heads, title=f"{task}, {images[task]:,} images", box=None, title_justify="left")
        for model, own in document.items():
            cells = [f"{100 * own[task][name]['quality']:.1f}" if name in own[task] else "" for name in heads]
            table.add_row("/".join(Path(model).parts[-2:]), *cells)
        Console(width=120).print(table)
    print(json.dumps(document))


if __name__ == "__main__":
    main()
