"""How often the certificate of `mue tune --certify` is wrong with a real model: trials that each draw fresh images.

    mue corpus fresh --seed 11 --rows 10 --val 40000 --test 10
    python benchmarks/certificate_trials.py MODEL fresh/val/*.tar --task caption [--images 100 200] [--alphas 0.03 0.05]

Every trial takes images that no other one takes, orders the points on one half of them and tests on the other. A
point's true risk is what it loses on all images of the other trials. A trial is violated if it certifies a point whose
true risk exceeds alpha; at delta .05 at most `allowed` of them are, with 99 %. Where no point's risk lies just above an
alpha nothing is tried: --just-below also tests at alphas of which each is a little less than the risk of a point. As
the last line, one JSON document.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from jobs.free_runs import free_runs
from jobs.tune_certificate import FULL, losses_of
from jobs.tune_questions import ask
from jobs.tune_settings import TuneSettings, TuneTask
from mue_model.config import EngineConfig, ExitConfig
from mue_model.model_folder import ModelFacts
from mue_model.model_names import model_facts
from mue_model.tuning.certificate import Losses, binomial_cdf, certify
from mue_model.tuning.family import constant_depth

SURE = 0.99
"""With which a certificate that is right has no more violations than are allowed."""
BELOW = 0.97
"""Share of a point's risk that is just below it."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What came of all trials at one alpha."""

    alpha: float
    delta: float
    images_each: int
    trials: int
    violations: int
    allowed: int
    """The most violations that a certificate that is right has, with 99 %."""
    risks: Mapping[str, float]
    """Mean loss of each point over all images."""
    certified: Mapping[str, int]
    """In how many trials each point was certified."""


def main() -> None:
    """Run all points on all images once, then hold the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--task", choices=("caption", "entailment"), default="caption")
    parser.add_argument("--presets", nargs="*", default=["balanced", "fast"])
    parser.add_argument("--constants", nargs="*", type=int, metavar="DEPTH", help="all from two layers on if left out")
    parser.add_argument("--alphas", nargs="+", type=float, default=[0.03, 0.05, 0.08])
    parser.add_argument("--delta", type=float, default=0.05)
    parser.add_argument(
        "--images", nargs="+", type=int, default=[200], help="of each trial; one half orders, the other tests"
    )
    parser.add_argument("--just-below", action="store_true", help="also at alphas just below the risk of each point")
    arguments = parser.parse_args()
    facts = model_facts(arguments.model)
    depths = range(2, facts.config.encoder_layers) if arguments.constants is None else arguments.constants
    points = {f"constant {depth}": constant_depth(facts.config, depth) for depth in depths}
    points |= {name: facts.exits(name, arguments.task) for name in arguments.presets}
    lost = _all_losses(facts, points, arguments.shards, arguments.task)
    found = []
    alphas = arguments.alphas + (just_below(lost) if arguments.just_below else [])
    for each, alpha in itertools.product(arguments.images, alphas):
        own = trials(lost, each=each, alpha=alpha, delta=arguments.delta)
        found.append(asdict(own))
        certified = ", ".join(f"{name} ({own.risks[name]:.2%}) {times}" for name, times in own.certified.items())
        print(
            f"alpha {alpha:.4g}, {each} images each: {own.violations} of {own.trials} trials violated, "
            f"{own.allowed} allowed; {certified}"
        )
    images = len(next(iter(lost.values())).clusters)
    print(json.dumps({"model": facts.digest, "task": arguments.task, "images": images, "trials": found}))


def _all_losses(
    facts: ModelFacts, points: Mapping[str, ExitConfig], shards: Sequence[str], task: TuneTask
) -> dict[str, Losses]:
    """Return the losses of every image by point; shards go one after another, so that few images are in memory."""
    clusters: dict[str, list[float]] = {name: [] for name in points}
    binary = True
    for number, shard in enumerate(shards, start=1):
        asked = ask(TuneSettings(shards=(shard,), tasks=(task,), images=10**9, rows=10**9), facts)
        questions = asked.by_task[task]
        runs = free_runs(
            facts, {FULL: ExitConfig(), **points}, questions, asked.references,
            task=task, group_size=EngineConfig().group_size, keep=len(questions), rounds=1,
        )  # fmt: skip
        for name in points:
            own = losses_of(asked, runs[name], runs[FULL], asked.images)
            clusters[name] += own.clusters
            binary = binary and own.binary
        print(f"{number}/{len(shards)} shards, {len(next(iter(clusters.values()))):,} images", file=sys.stderr)
    order = np.random.default_rng(0).permutation(len(next(iter(clusters.values()))))  # shards may differ in kind
    return {name: Losses(tuple(own[place] for place in order), binary) for name, own in clusters.items()}


def just_below(lost: Mapping[str, Losses]) -> list[float]:
    """Return an alpha for each point that loses anything: so little below its risk that certifying it is an error."""
    risks = {math.fsum(own.clusters) / len(own.clusters) for own in lost.values()}
    return [BELOW * risk for risk in sorted(risks) if risk > 0]


def trials(lost: Mapping[str, Losses], *, each: int, alpha: float, delta: float) -> Trials:
    """Hold as many trials as there are images for."""
    images = len(next(iter(lost.values())).clusters)
    sums = {name: math.fsum(own.clusters) for name, own in lost.items()}
    certified, violations, count = Counter[str](), 0, images // each
    for first in range(0, count * each, each):
        half = first + each // 2
        ordering, testing = (
            {name: {"task": Losses(own.clusters[low:high], own.binary)} for name, own in lost.items()}
            for low, high in ((first, half), (half, first + each))
        )
        passed = [own.name for own in certify(ordering, testing, alpha=alpha, delta=delta) if own.certified]
        certified.update(passed)
        here = {name: math.fsum(lost[name].clusters[first : first + each]) for name in passed}
        violations += any((sums[name] - here[name]) / (images - each) > alpha for name in passed)
    allowed = next(most for most in range(count + 1) if binomial_cdf(most, count, delta) >= SURE)
    return Trials(
        alpha=alpha,
        delta=delta,
        images_each=each,
        trials=count,
        violations=violations,
        allowed=allowed,
        risks={name: sums[name] / images for name in lost},
        certified={name: certified[name] for name in lost},
    )


if __name__ == "__main__":
    main()
