"""How far exits go, and how often they say what full depth says, on images that nobody has labelled: another domain.

    python benchmarks/agreement.py MODEL 'photos/*.tar' [--point 'name={image: 0.97}']

Answers may all be wrong, as those of a model of drawn scenes about photographs are; what is asked is whether
thresholds that were chosen in one domain still do in another what they did there. Prints a table and, as the last
line, one JSON document.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import json
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from jobs.trial_questions import Questions, trial_spec
from mue_model import costs
from mue_model.config import EngineConfig, ExitConfig
from mue_model.loading import build_engine
from mue_model.model_folder import ModelFacts
from mue_model.model_names import model_facts
from mue_model.rows import ExitTrace, RowInput, RowResult
from mue_model.tuning.choice import paper_layer_metric
from mue_model.tuning.family import constant_depth
from mue_model.tuning.net_work import net_work

FULL = "full depth"


def answers(facts: ModelFacts, rows: list[RowInput], exits: ExitConfig) -> list[RowResult]:
    """Return the answers to all rows."""
    engine = build_engine(facts, exits, facts.generation, EngineConfig(device="auto"))
    results = engine.submit(rows).result()
    engine.close()
    return results


def row_of(facts: ModelFacts, name: str, rows: list[RowInput], own: list[RowResult], full: list[RowResult]) -> Any:
    """Everything about one point, ready for JSON."""
    traces = [result.trace for result in own if isinstance(result.trace, ExitTrace)]
    flops = [costs.row_flops(facts.config, trace) for trace in traces]
    said = [(result.text, result.label) for result in own]
    tokens = np.concatenate([trace.decoder for trace in traces])
    layers = {
        "image": float(np.mean([trace.image for trace in traces])),
        "text": float(np.mean([trace.text for trace in traces])),
        "decoder": float(tokens.mean()),
    }
    return {
        "point": name,
        "rows": len(rows),
        "agreement": float(np.mean([own == (deep.text, deep.label) for own, deep in zip(said, full, strict=True)])),
        "layers": layers,
        "image_layers_run": np.bincount([trace.image for trace in traces], minlength=7).tolist(),
        "paper_layer_metric": paper_layer_metric(facts.config, layers),
        "flops_share": sum(row.executed for row in flops) / sum(row.full_same_length for row in flops),
        "work_share": net_work(facts.config, rows, traces).share,
    }


def main() -> None:
    """Ask at every point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--point", action="append", default=[], help="name={image: 0.97, ...}; repeatable")
    arguments = parser.parse_args()
    facts = model_facts(arguments.model)
    rows = [question.row for question in Questions(trial_spec(arguments.shards, "caption"), facts)]
    points = {FULL: ExitConfig()} | {f"constant {depth}": constant_depth(facts.config, depth) for depth in (2, 3, 4)}
    points |= {name: facts.exits(name, "caption") for name in facts.presets if name not in ("default", "exact")}
    for text in arguments.point:
        name, _, exits = text.partition("=")
        points[name] = ExitConfig.model_validate(yaml.safe_load(exits))
    full = answers(facts, rows, points[FULL])
    document = [row_of(facts, name, rows, answers(facts, rows, exits), full) for name, exits in points.items()]
    table = Table(title=f"captions, {len(rows):,} rows, against full depth", box=None, title_justify="left")
    for head in ("", "agree", "image", "text", "decoder", "paper", "FLOPs", "work"):
        table.add_column(head, justify="right" if head else "left")
    for own in document:
        shares = [own[key] for key in ("paper_layer_metric", "flops_share", "work_share")]
        layers = [f"{mean:.2f}" for mean in own["layers"].values()]
        table.add_row(own["point"], f"{own['agreement']:.1%}", *layers, *(f"{share:.1%}" for share in shares))
    Console(width=120).print(table)
    print(json.dumps({"model": facts.digest, "points": document}))


if __name__ == "__main__":
    main()
