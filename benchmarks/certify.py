"""Whether presets that are chosen already keep what full depth has right, on rows that had no say in choosing them.

    python benchmarks/certify.py MODEL fresh/val/*.tar --task caption --presets balanced fast [--alpha 0.05]

Learn-then-Test as in `mue tune --certify`, its order fixed beforehand: that of `--presets`, so all images may test. The
loss is 1 for a row that is right at full depth and not with the preset. As the last line, one JSON document.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import json

from jobs.free_runs import free_runs
from jobs.tune_certificate import FULL, LOSS, losses_of
from jobs.tune_questions import ask
from jobs.tune_settings import TuneSettings
from mue_model.config import EngineConfig, ExitConfig
from mue_model.model_names import model_facts
from mue_model.tuning.certificate import p_value


def main() -> None:
    """Test the presets in their order until one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--task", choices=("caption", "entailment"), default="caption")
    parser.add_argument("--presets", nargs="+", default=["balanced", "fast"])
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--delta", type=float, default=0.05)
    parser.add_argument("--images", type=int, default=1000)
    arguments = parser.parse_args()
    facts, task = model_facts(arguments.model), arguments.task
    settings = TuneSettings(shards=tuple(arguments.shards), tasks=(task,), images=arguments.images, rows=10**9)
    asked = ask(settings, facts)
    points = {FULL: ExitConfig()} | {name: facts.exits(name, task) for name in arguments.presets}
    for name in arguments.presets:
        if points[name] == points[FULL]:
            parser.error(f"preset '{name}' of {arguments.model} runs {task}s at full depth: it can lose nothing")
    questions = asked.by_task[task]
    runs = free_runs(
        facts, points, questions, asked.references,
        task=task, group_size=EngineConfig().group_size, keep=len(questions), rounds=1,
    )  # fmt: skip
    path, standing = [], True
    for name in arguments.presets:
        losses = losses_of(asked, runs[name], runs[FULL], asked.images)
        own = p_value(losses, arguments.alpha)
        standing = standing and own <= arguments.delta
        risk = sum(losses.clusters) / len(losses.clusters)
        exits = points[name].model_dump(mode="json")
        path.append({"preset": name, "exits": exits, "risk": risk, "p_value": own, "certified": standing})
        print(f"{name}: lost {risk:.2%} of rows, p {own:.4f}, {'certified' if standing else 'not certified'}")
    document = {"model": facts.digest, "data": asked.digest, "task": task, "images": len(asked.images), "loss": LOSS}
    print(
        json.dumps(
            {**document, "rows": len(questions), "alpha": arguments.alpha, "delta": arguments.delta, "path": path}
        )
    )


if __name__ == "__main__":
    main()
