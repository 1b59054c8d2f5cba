"""What a model is worth at full depth, at constant depths and with exits: quality, layers, FLOPs and time by level.

    python benchmarks/quality.py MODEL drawn/test [--images 1000] [--point 'name={image: 0.97, decoder: 0.95}']
    python benchmarks/quality.py MODEL drawn/test --no-constant --blind
    python benchmarks/quality.py MODEL drawn/test --paper --timed 32 64 1 --timed-rows 1280 --rounds 3
    python benchmarks/quality.py MODEL drawn/test --beside 'shallow=OTHER_MODEL'

Prints a table for each task and, as the last line, one JSON document. `kept` is quality over that of full depth, with a
95 % interval of the same rows in pairs. Beside quality stand four measures that are not
the same: layers, the paper's metric of layers (1 - layers run / layers there are), FLOPs of rows as if each ran alone
and of a job that shares images and prompts (`work`), and time: that of the dense engine at each group size, as a ratio
to full depth in the same round, every other round in the opposite order; the median counts. Rows should be many
groups: the last ones of a run, with nothing behind them, leave groups thin, and the deeper some rows go the longer. A
model beside runs at its own full depth, in turn with the points; its quality, FLOPs and time are over those of MODEL at
full depth. The last lines say how much of the time at full depth stem and head take, which no exit can save.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

from jobs.evaluation_view import depth_facts
from jobs.free_runs import free_runs
from jobs.kept import kept_of
from jobs.references import DEFAULT, field_references
from jobs.trial import Trial, TrialScores
from jobs.trial_questions import Question, Questions, trial_spec
from jobs.tune_progress import tuning_shown
from mue_model.config import EngineConfig, ExitConfig, ModelConfig
from mue_model.loading import load_model
from mue_model.metrics.entailment import LabelAccuracy
from mue_model.model_folder import ModelFacts
from mue_model.model_names import model_facts
from mue_model.tuning.choice import paper_layer_metric
from mue_model.tuning.family import constant_depth, constant_depths
from mue_model.tuning.net_work import NetWork, net_work
from pipeline.row_field import RowField

FULL = "full depth"
ALONE = 200
"""Most rows that are timed one by one."""
PAPER = {
    "paper": dict.fromkeys(("caption", "entailment"), ExitConfig(image=0.9, text=0.95, decoder=0.95, schedule="paper")),
    "its scripts": {
        "caption": ExitConfig(image=0.99, text=0.7, decoder=0.9, schedule="published"),
        "entailment": ExitConfig(image=0.7, text=0.99, decoder=0.7, schedule="published"),
    },
    "its scripts, answers too": {
        "entailment": ExitConfig(image=0.7, text=0.99, decoder=0.7, candidates=0.7, schedule="published"),
    },
}
"""The thresholds of MuE, as its text and its published scripts have them; joint checkpoints have none of either. The
scripts' schedule never leaves the decoder in the first third of the steps, and so never in a label, which is scored as
of the first step: the last entry lets labels leave at the scripts' threshold without it."""


def points_of(arguments: argparse.Namespace, facts: ModelFacts, task: str) -> dict[str, ExitConfig]:
    """Full depth first, then what else is compared."""
    points = {FULL: ExitConfig()}
    if arguments.constant:
        layers = range(1, facts.config.encoder_layers)
        points |= {f"constant {depth}": constant_depth(facts.config, depth) for depth in layers}
    if arguments.paper:
        points |= {name: own[task] for name, own in PAPER.items() if task in own}
    for text in arguments.depths:
        points[f"constant {text}"] = constant_depths(facts.config, [int(own) for own in text.split("/")])
    points |= {name: facts.exits(name, task) for name in facts.presets if name not in ("default", "exact")}
    for text in arguments.point:
        name, _, exits = text.partition("=")
        points[name] = ExitConfig.model_validate(yaml.safe_load(exits))
    return points


def other_model(named: str, facts: ModelFacts) -> tuple[str, ModelFacts]:
    """Return the name and the model of `name=MODEL`, which may differ in its layers alone: the rows are made once."""
    name, _, model = named.partition("=")
    other = model_facts(model)
    as_deep = {"encoder_layers": facts.config.encoder_layers, "decoder_layers": facts.config.decoder_layers}
    if other.config.model_copy(update=as_deep) != facts.config:
        raise SystemExit(f"--beside {named}: '{other.name}' differs from '{facts.name}' in more than its layers")
    return name, other


def quality_of(scores: TrialScores | None) -> float | None:
    """Exact match of captions, accuracy of labels."""
    if scores is None:
        return None
    if scores.captions:
        return scores.captions.exact_match
    return scores.answers.accuracy if scores.answers else None


def net_of(config: ModelConfig, trial: Trial) -> NetWork:
    """What a job of these rows executes."""
    answered = [(question.row, result.trace) for question, result in trial.answers if result.trace is not None]
    rows, traces = zip(*answered, strict=True)
    return net_work(config, rows, traces)


def shares_of(facts: ModelFacts, ran: ModelFacts, trial: Trial, full: Trial) -> tuple[float, float]:
    """FLOPs of rows as if each ran alone and of a job, over full depth: of the same lengths, or of another model's."""
    net = net_of(ran.config, trial)
    if ran is facts:
        return trial.all.executed_share, net.share
    deep = net_of(facts.config, full)
    return trial.all.flops_executed / full.all.flops_executed, (net.executed + net.checks) / deep.full


def row_of(
    facts: ModelFacts, ran: ModelFacts, name: str, trial: Trial, full: Trial, times: dict[int, float]
) -> dict[str, Any]:
    """Everything about one point of `facts`, or about a model beside it, ready for JSON."""
    kept = kept_of(trial, full, field_references(DEFAULT))
    flops_share, work_share = shares_of(facts, ran, trial, full)
    layers = {stream: mean or 0.0 for stream, mean in depth_facts(trial.all.depths).items()}
    return {
        "point": name,
        "rows": trial.all.rows,
        "quality": quality_of(trial.all),
        "kept": kept.share,
        "kept_within": kept.within,
        "cider_d": trial.all.captions.cider_d if trial.all.captions else None,
        "by_level": {level: quality_of(scores) for level, scores in trial.groups.items()},
        "layers": layers,
        "paper_layer_metric": paper_layer_metric(facts.config, layers),
        "layers_by_level": {level: depth_facts(scores.depths) for level, scores in trial.groups.items()},
        "flops_share": flops_share,
        "work_share": work_share,
        "time_share": times,
    }


def show(task: str, rows: list[dict[str, Any]]) -> None:
    """Print one line a point: quality, by level, layers, FLOPs, time."""
    levels = list(rows[0]["by_level"])
    table = Table(title=f"{task}, {rows[0]['rows']:,} rows", box=None, title_justify="left")
    heads = [
        "",
        "quality",
        "kept",
        *(f"level {level}" for level in levels),
        "image",
        "text",
        "decoder",
        "paper",
        "FLOPs",
    ]
    if rows[0]["cider_d"] is not None:
        heads.insert(3, "CIDEr-D")
    heads += ["work", *(f"time at {size}" for size in rows[0]["time_share"])]
    for head in heads:
        table.add_column(head, justify="right" if head else "left")
    for row in rows:
        quality = [row["quality"], *row["by_level"].values()]
        shares = [row["paper_layer_metric"], row["flops_share"], row["work_share"], *row["time_share"].values()]
        layers = [f"{mean:.2f}" for mean in row["layers"].values()]
        kept = f"{100 * row['kept']:.1f} ± {100 * row['kept_within']:.1f} %"
        cider = [] if row["cider_d"] is None else [f"{row['cider_d']:.3f}"]
        table.add_row(
            row["point"], percent(quality[0]), kept, *cider, *map(percent, quality[1:]), *layers, *map(percent, shares)
        )
    Console(width=190).print(table)
    depths = Table(title=f"mean layers by level (image / decoder), {task}", box=None, title_justify="left")
    for head in ["", *(f"level {level}" for level in levels)]:
        depths.add_column(head, justify="right" if head else "left")
    for row in rows:
        if not row["point"].startswith(("constant", FULL)):
            cells = [f"{own['image']:.2f} / {own['decoder']:.2f}" for own in row["layers_by_level"].values()]
            depths.add_row(row["point"], *cells)
    if depths.row_count:
        Console(width=150).print(depths)


def percent(share: float | None) -> str:
    """A share in words."""
    return "-" if share is None else f"{100 * share:.1f} %"


def timed(
    arguments: argparse.Namespace,
    facts: ModelFacts,
    points: dict[str, ExitConfig],
    beside: dict[str, ModelFacts],
    questions: list[Question],
    task: str,
    tell: Callable[[str, int, int], None],
) -> tuple[dict[str, dict[int, float]], float]:
    """Return the time over that of full depth by point and group size, and the seconds a row takes at full depth."""
    found: dict[str, dict[int, float]] = {name: {} for name in [*points, *beside]}
    chosen, a_row_s = questions[: arguments.timed_rows], 0.0
    for size in arguments.timed or [arguments.group_size]:
        asked = chosen if size > 1 else chosen[:ALONE]
        total = len(found) * arguments.rounds * len(asked)
        runs = free_runs(
            facts, points, asked, field_references(DEFAULT),
            task=task, group_size=size, rounds=arguments.rounds, beside=beside,
            progress=lambda done, size=size, total=total: tell(f"{task}, time in groups of {size}", done, total),  # type: ignore[misc]
        )  # fmt: skip
        for name, run in runs.items():
            pairs = zip(run.each_s, runs[FULL].each_s, strict=True)
            found[name][size] = statistics.median(mine / full for mine, full in pairs)
        a_row_s = a_row_s or runs[FULL].seconds / len(asked)
    return found, a_row_s


@torch.inference_mode()
def fixed_share(facts: ModelFacts, questions: list[Question], a_row_s: float, steps: int, group_size: int) -> float:
    """Time of stem and head over all rows, as a share of the time at full depth, of which a row takes `a_row_s`."""
    model = load_model(facts, device="auto")
    images_together = EngineConfig().image_group_size
    pixels = torch.stack([torch.tensor(question.row.pixels) for question in questions[:images_together]])
    images, state = model.normalise(pixels), torch.zeros(group_size, 1, facts.config.d_model, device=model.device)

    # The clock by which `free_runs` has `a_row_s`: what else the machine does is in neither.
    one_thread = torch.get_num_threads() == 1 and model.device.type == "cpu"
    clock = time.process_time if one_thread else time.perf_counter

    def seconds(run: Any) -> float:
        run()
        began = clock()
        for _ in range(10):
            run()
        return (clock() - began) / 10

    stem = seconds(lambda: model.encoder.embed_image(images)) * len(questions) / images_together
    head = seconds(lambda: model.logits(state)) * steps / group_size
    return (stem + head) / (a_row_s * len(questions))


def main() -> None:
    """Ask both tasks at every point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--images", type=int, default=1000, help="of captions")
    parser.add_argument("--entailment-images", type=int, default=300, help="each has six hypotheses in a drawn corpus")
    parser.add_argument("--group-size", type=int, default=32)
    parser.add_argument("--timed", type=int, nargs="+", metavar="SIZE", help="group sizes; the one above if none")
    parser.add_argument("--timed-rows", type=int, metavar="N", help="the first ones; all if left out")
    parser.add_argument("--rounds", type=int, default=2, help="of every point, for time")
    parser.add_argument("--paper", action="store_true", help="MuE's own thresholds too")
    parser.add_argument("--tasks", nargs="+", default=["caption", "entailment"])
    parser.add_argument("--point", action="append", default=[], help="name={image: 0.97, ...}; repeatable")
    parser.add_argument(
        "--beside", action="append", default=[], help="name=MODEL, which takes the same rows; repeatable"
    )
    parser.add_argument(
        "--depths", nargs="*", default=[], metavar="I/T/D", help="layers of image, text and decoder for all"
    )
    parser.add_argument("--no-constant", dest="constant", action="store_false")
    parser.add_argument("--blind", action="store_true", help="grey pictures, entailment alone")
    parser.add_argument("--threads", type=int, default=1, help="of one alone, time is the processor's, not the clock's")
    arguments = parser.parse_args()
    with tuning_shown(quiet=False, log_format="text") as tell:
        document = measured(arguments, tell)
    print(json.dumps(document))


def measured(arguments: argparse.Namespace, tell: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Run everything that is asked for and print its tables; `tell` hears what, how far and of how much."""
    torch.set_num_threads(arguments.threads)
    facts = model_facts(arguments.model)
    beside = dict(other_model(text, facts) for text in arguments.beside)
    limits = {"caption": arguments.images, "entailment": arguments.entailment_images}
    document: dict[str, Any] = {"model": facts.digest, "images": limits, "group_size": arguments.group_size}
    for task in ["entailment"] if arguments.blind else arguments.tasks:
        asked = Questions(trial_spec(arguments.shards, task), facts, limit=limits[task], blind=arguments.blind)
        questions = list(asked)
        points = {FULL: ExitConfig()} if arguments.blind else points_of(arguments, facts, task)
        total = len(questions) * (len(points) + len(beside))
        runs = free_runs(
            facts,
            points,
            questions,
            field_references(DEFAULT),
            task=task,
            group_size=arguments.group_size,
            by=RowField.parse("json:level", option="level"),
            keep=len(questions),
            rounds=1,
            beside=beside,
            progress=lambda done, task=task, total=total: tell(f"{task}, quality", done, total),  # type: ignore[misc]
        )
        full = runs[FULL].trial
        times, full_s = timed(arguments, facts, points, beside, questions, task, tell)
        document[task] = [
            row_of(facts, beside.get(name, facts), name, run.trial, full, times[name]) for name, run in runs.items()
        ]
        show(task, document[task])
        if isinstance(full.all.answers, LabelAccuracy):
            document["confusion"] = full.all.answers.confusion
            print(f"confusion at full depth, by gold label: {json.dumps(full.all.answers.confusion)}")
        if task == "caption":
            steps = full.all.depths.counts["decoder_layers_run"]
            document["stem_and_head_share"] = fixed_share(facts, questions, full_s, steps, arguments.group_size)
            print(f"stem and head: {percent(document['stem_and_head_share'])} of the time at full depth")
    return document


if __name__ == "__main__":
    main()
