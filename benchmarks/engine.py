"""What regrouping by exit depth is worth in measured time: decoder, encoder and whole rows, beside full depth.

    python benchmarks/engine.py [--quick] [--threads 2] [--rounds 3] [--only decoder whole]

f is executed work over full-depth work, R measured time over that of the best full-depth static batch of the same run,
eta = f / R, s = (1 - R) / (1 - f). f_net counts what was really executed on both sides, shared work once and padding
too; amdahl_share = f_net / R is what is had of the speed-up that it allows. Variants are interleaved, round by round; a
ratio is the median over rounds. Depths are scripted, so that f does not depend on a model's training: `demo` is the
model that ships, `d768` has OFA-base's sizes with random weights. Prints tables and, as the last line of stdout, one
JSON document; how far it is, on stderr. Takes more than an hour, with --rows 512 --rows-d768 48 a quarter of one, with
--quick less than two minutes.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from engine_regions import (
    DenseDecoder,
    Measured,
    Work,
    dense_encoder,
    kept,
    script,
    static_decoder,
    static_encoder,
)
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from mue_model import costs
from mue_model.checkpoint import build_model
from mue_model.config import EngineConfig, GenerationConfig, ModelConfig
from mue_model.engine.dense import DenseRunner
from mue_model.exits import CosineExit, ExitPolicy, NeverExit, ScriptedExit
from mue_model.loading import load_model, make_runner
from mue_model.model import MueModel, parameter_shapes
from mue_model.model_names import model_facts
from mue_model.rows import ExitTrace, RowInput, RowResult

DECODER_REGIONS = ("cross_kv", "decoder_layers", "kv_fill", "head")
ENCODER_REGIONS = ("stem", "image_layers")
PARTS = ("decoder", "encoder", "d768", "whole")
UNREACHABLE = 0.999999
Variant = Callable[[], Measured]


def gemm_peak(size: int = 1536) -> float:
    """FLOPs a second of a large matrix product in fp32."""
    left, right = torch.randn(2, size, size)
    best = float("inf")
    for _ in range(4):
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def demo_model() -> MueModel:
    """The model that ships, whose texts never end early."""
    model = load_model(model_facts("demo"))
    model.encoder.embed_tokens.weight[model.config.eos_token_id] = 0
    return model


def d768_model() -> MueModel:
    """OFA-base's sizes, decomposed, random weights."""
    config = ModelConfig.model_validate(
        {
            "vocab_size": 59457,
            "d_model": 768,
            "encoder_layers": 6,
            "encoder_attention_heads": 12,
            "encoder_ffn_dim": 3072,
            "decoder_layers": 6,
            "decoder_attention_heads": 12,
            "decoder_ffn_dim": 3072,
            "resnet_type": "light",
            "streams": "decomposed",
        }
    )
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in parameter_shapes(config).items():
        scale = 0.02 if len(shape) > 1 else 0.0
        tensors[name] = torch.randn(shape, generator=generator) * scale
        if name.endswith(("norm.weight", "_ln.weight", "embedding.weight", "c_attn", "running_var")) and not scale:
            tensors[name] += 1
    tensors["encoder.embed_tokens.weight"][config.eos_token_id] = 0
    return build_model(config, tensors)


def interleaved(title: str, variants: dict[str, Variant], rounds: int) -> dict[str, list[Measured]]:
    """Run all variants in turn, there and back, so that what slows the machine slows all of them.

    The first run of each is thrown away: code is compiled and stores grow in it.
    """
    began = time.perf_counter()
    for run in variants.values():
        run()
    measured: dict[str, list[Measured]] = {name: [] for name in variants}
    for number in range(rounds):
        print(f"{title}: {number} of {rounds} rounds, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        for name in variants if number % 2 == 0 else reversed(variants):
            measured[name].append(variants[name]())
    return measured


def work_share(config: ModelConfig, traces: Sequence[ExitTrace], regions: Sequence[str]) -> tuple[int, int]:
    """Executed and full-depth FLOPs of some regions."""

    def total(trace: ExitTrace) -> int:
        found = costs.row_regions(config, trace)
        return sum(getattr(found, region) for region in regions)

    return sum(map(total, traces)), sum(total(costs.full_depth(config, trace)) for trace in traces)


def ratio(measured: dict[str, list[Measured]], name: str, baselines: Sequence[str]) -> float:
    """Median over rounds of the seconds of `name` over those of the fastest baseline by its own median."""
    best = min(baselines, key=lambda each: statistics.median(run.seconds for run in measured[each]))
    pairs = zip(measured[name], measured[best], strict=True)
    return statistics.median(ours.seconds / theirs.seconds for ours, theirs in pairs)


def region_report(
    name: str,
    work: Work,
    measured: dict[str, list[Measured]],
    groups: Sequence[int],
    regions: Sequence[str],
    peak: float,
) -> list[dict[str, Any]]:
    """One entry for each group size of the dense variant, against the best of the full-depth static batches."""
    full = [each for each in measured if each.startswith("full")]
    entries = []
    for group in groups:
        runs = measured[f"dense {group}"]
        executed, at_full = work_share(work.config, runs[0].traces, regions)
        f, r = executed / at_full, ratio(measured, f"dense {group}", full)
        seconds = statistics.median(run.seconds for run in runs)
        entry = {
            "region": name,
            "group": group,
            "f": f,
            "R": r,
            "eta": f / r,
            "s": (1 - r) / (1 - f) if f < 1 else None,
            "occupancy": runs[0].occupancy,
            "gemm_peak_share": executed / seconds / peak,
            "rows_per_s": work.rows / seconds,
            "store_mib": runs[0].bytes / 2**20,
        }
        # What full depth loses at this group, regrouping loses too.
        keys = (("full", "full_R"), ("never", "no_exit_ratio"), ("compact", "compact_R"), ("mask", "mask_R"))
        for other, key in keys:
            if f"{other} {group}" in measured:
                entry[key] = ratio(measured, f"{other} {group}", full)
        if f"saving {group}" in measured:
            entry["saving"] = 1 - ratio(measured, f"dense {group}", [f"saving {group}"])
        entries.append(entry)
    return entries


def decoder(
    name: str,
    work: Work,
    kind: str,
    groups: Sequence[int],
    arguments: argparse.Namespace,
    *,
    baselines: Sequence[int],
    lean: bool = False,
) -> list[dict[str, Any]]:
    """The decoder region, beside static batches of `groups` and `baselines`; `lean`: only what eta needs."""
    memory, exits = work.memory(), script(work, kind)
    unreached = CosineExit({"decoder": [UNREACHABLE] * work.config.decoder_layers})
    static = sorted({*(group for group in groups if group > 1), *baselines})
    variants: dict[str, Variant] = {
        f"full {group}": (lambda group=group: static_decoder(work, memory, NeverExit(), group))  # type: ignore[misc]
        for group in static
    }
    for group in groups:
        variants[f"dense {group}"] = DenseDecoder(work, memory, exits, group)
        if group in (32, 64) or lean:
            variants[f"never {group}"] = DenseDecoder(work, memory, unreached, group)
        if lean:
            continue
        variants[f"saving {group}"] = DenseDecoder(work, memory, NeverExit(), group)
        if group in (32, 64):
            variants[f"compact {group}"] = lambda group=group: static_decoder(work, memory, exits, group)  # type: ignore[misc]
            variants[f"mask {group}"] = lambda group=group: static_decoder(work, memory, exits, group, "mask")  # type: ignore[misc]
    measured = interleaved(f"decoder, {name}, {kind}", variants, arguments.rounds)
    return region_report(f"decoder, {name}, {kind}", work, measured, groups, DECODER_REGIONS, arguments.peak)


def encoder(name: str, work: Work, groups: Sequence[int], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Stem and image streams."""
    random, exits = np.random.default_rng(0), script(work, "geometric")
    height, width = work.grid[0] * 16, work.grid[1] * 16
    pixels = [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(work.rows)]
    variants: dict[str, Variant] = {}
    for group in groups:
        variants[f"full {group}"] = lambda group=group: static_encoder(work, pixels, NeverExit(), group)  # type: ignore[misc]
        variants[f"dense {group}"] = lambda group=group: dense_encoder(work, pixels, exits, group)  # type: ignore[misc]
        variants[f"compact {group}"] = lambda group=group: static_encoder(work, pixels, exits, group)  # type: ignore[misc]
    measured = interleaved(f"encoder, {name}", variants, arguments.rounds)
    return region_report(f"encoder, {name}, geometric", work, measured, groups, ENCODER_REGIONS, arguments.peak)


def run_rows(model: MueModel, rows: Sequence[RowInput], exits: ExitPolicy, config: EngineConfig) -> Measured:
    """All rows through a runner, as the engine's thread drives it."""
    runner = make_runner(model, exits, GenerationConfig(max_tokens=16, no_repeat_ngram=0), "propagate", config)
    results: dict[int, RowResult] = {}
    coming, began = 0, time.perf_counter()
    while len(results) < len(rows):
        for _ in range(min(runner.room(), len(rows) - coming)):
            runner.admit(coming, rows[coming])
            coming += 1
        results |= dict(runner.step(held_back=coming < len(rows)))
    seconds = time.perf_counter() - began
    traces = [trace for number in range(len(rows)) if (trace := results[number].trace) is not None]
    net = sum(costs.row_flops(model.config, trace).executed for trace in traces)
    net += sum(result.flops_padding - result.flops_reused for result in results.values())
    return Measured(seconds, traces, net_flops=net)


def whole_rows(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Images to texts under the four policies, at scripted depths that are drawn for streams and tokens alike."""
    model, random = demo_model(), np.random.default_rng(0)
    work = Work(model, (8, 8), 12, 16, arguments.rows // (2 if arguments.quick else 1))
    prompt = model_facts("demo").processor.prompt_ids("caption")
    rows = [
        RowInput(uid=str(n), pixels=random.integers(0, 256, (128, 128, 3), dtype=np.uint8), prompt_ids=prompt)
        for n in range(work.rows)
    ]
    exits = script(work, "geometric")
    variants: dict[str, Variant] = {
        f"full {group}": (
            lambda group=group: run_rows(model, rows, NeverExit(), EngineConfig(policy="compact", group_size=group))
        )  # type: ignore[misc]
        for group in (32, 64)
    }
    for policy in ("regroup", "compact", "wait_all", "mask"):
        settings = EngineConfig.model_validate({"policy": policy, "group_size": 64})
        variants[policy] = lambda settings=settings: run_rows(model, rows, exits, settings)  # type: ignore[misc]
    measured, entries = interleaved("whole rows", variants, arguments.rounds), []
    executed, at_full = (
        sum(getattr(costs.row_flops(work.config, trace), name) for trace in measured["regroup"][0].traces)
        for name in ("executed", "full_same_length")
    )
    for policy in ("regroup", "compact", "wait_all", "mask"):
        f, r = executed / at_full, ratio(measured, policy, ["full 32", "full 64"])
        run = sorted(measured[policy], key=lambda run: run.seconds)[arguments.rounds // 2]
        f_net = run.net_flops / measured["full 64"][-1].net_flops
        entries.append(
            {
                "policy": policy,
                "f": f,
                "f_net": f_net,
                "R": r,
                "eta": f / r,
                "amdahl_share": f_net / r,
                "gemm_peak_share": run.net_flops / run.seconds / arguments.peak,
                "rows_per_s": work.rows / run.seconds,
            }
        )
    return entries, {"flops_error": flops_error(model, rows[:48], exits)}


def flops_error(model: MueModel, rows: Sequence[RowInput], exits: ScriptedExit) -> float:
    """Ledger against counter, relative, over a few rows through the dense engine; attention gathered, to be seen."""
    config = EngineConfig(group_size=8, image_group_size=4, attention="gathered")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        runner = DenseRunner(model, exits, GenerationConfig(max_tokens=16, no_repeat_ngram=0), "propagate", config)
        results, coming = [], 0
        while len(results) < len(rows):
            while coming < len(rows) and runner.room():
                runner.admit(coming, rows[coming])
                coming += 1
            results += [result for _, result in runner.step()]
    ledger = sum(
        costs.row_flops(model.config, result.trace).executed - result.flops_reused + result.flops_padding
        for result in results
        if result.trace is not None
    )
    return abs(ledger / counter.get_total_flops() - 1)


def show(title: str, entries: Sequence[dict[str, Any]]) -> None:
    """Print entries with the same keys as a table."""
    table = Table(title=title, box=None, title_justify="left")
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    for key in keys:
        table.add_column(key, justify="left" if key in ("region", "policy") else "right")
    for entry in entries:
        cells = [entry.get(key) for key in keys]
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell or "") for cell in cells))
    Console(width=170).print(table)


def main() -> None:
    """Measure, print, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=0, help="3; with --quick 2")
    parser.add_argument("--rows", type=int, default=0, help="of the demo model: 2,000; with --quick 256")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--groups", nargs="+", type=int, help="of the demo model's decoder: 1 8 32 64; with --quick 32 64"
    )
    parser.add_argument("--rows-d768", type=int, default=480)
    parser.add_argument("--groups-d768", nargs="+", type=int, help="32, with fewer than 240 rows 8")
    parser.add_argument("--sides-d768", nargs="+", type=int, help="of the image in patches: 20 30; with --quick 20")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.quick else 3)
    arguments.rows = arguments.rows or (256 if arguments.quick else 2000)
    torch.set_num_threads(arguments.threads)
    with torch.inference_mode():
        arguments.peak = gemm_peak()
        regions = measure_regions(arguments)
        show("regions, against the best full-depth static batch", regions)
        policies, checks = whole_rows(arguments) if "whole" in arguments.only else ([], {})
        show("whole rows, demo, group 64, against the best full-depth static batch", policies)
    document = {
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "gemm_peak_gflops": arguments.peak / 1e9,
        "regions": regions,
        "policies": policies,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **checks,
    }
    print(json.dumps(document))


def measure_regions(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the entries of all regions at all scales."""
    only, demo = arguments.only, Work(demo_model(), (8, 8), 12, 16, arguments.rows)
    groups = tuple(arguments.groups or ((32, 64) if arguments.quick else (1, 8, 32, 64)))
    baselines = (32, 64) if arguments.quick else (32, 64, 128)
    entries: list[dict[str, Any]] = []
    if "decoder" in only:
        entries += decoder("demo", demo, "geometric", groups, arguments, baselines=baselines)
    if "encoder" in only:
        entries += encoder("demo", demo, (8, 16) if arguments.quick else (8, 16, 32), arguments)
    if "decoder" in only and not arguments.quick:
        for kind in ("two_point", "deep", "shallow"):
            entries += decoder("demo", demo, kind, groups[-2:], arguments, baselines=baselines, lean=True)
    if "d768" in only:
        model = d768_model()
        steps, rows = (4, 32) if arguments.quick else (16, arguments.rows_d768)
        wide = arguments.groups_d768 or ((32,) if rows >= 240 else (8,))
        for side in arguments.sides_d768 or ((20,) if arguments.quick else (20, 30)):
            work = Work(model, (side, side), 12, steps, rows)
            title = f"d768, {side * side + 12} tokens"
            for group in wide:  # one by one: the stores of a group of 64 alone are 7 GiB, and there are two of them
                entries += decoder(title, work, "geometric", (group,), arguments, baselines=(8, 32), lean=True)
                kept.clear()
    return entries


if __name__ == "__main__":
    main()
