"""Many rows through one engine, as an actor feeds it: how full groups are, and that memory stays flat.

    python benchmarks/endurance.py [--rows 20000] [--calls 16] [--rows-per-call 32] [--group-size 32]

Calls are kept in flight and a new one starts when one ends. Depths are those of the model's preset on noise, which is
what differs from row to row here; texts end where they end. Prints a line for every tenth and, as the last line of
stdout, one JSON document.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import numpy as np
import psutil
import torch

from mue_model.config import EngineConfig
from mue_model.engine.decoder_region import DECODER
from mue_model.engine.dense import DenseRunner
from mue_model.engine.encoder_region import ENCODER
from mue_model.engine.engine import Engine
from mue_model.exits import CosineExit
from mue_model.loading import load_model
from mue_model.model_names import model_facts
from mue_model.rows import RowInput, RowResult

MIB = 2**20


def main() -> None:
    """Feed, watch, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=16)
    parser.add_argument("--rows-per-call", type=int, default=32)
    parser.add_argument("--group-size", type=int, default=32)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    facts, random = model_facts("demo"), np.random.default_rng(0)
    side, prompt = facts.processor.image_size, facts.processor.prompt_ids("caption")
    coarse = random.integers(0, 256, (512, 4, 4, 3), dtype=np.uint8)
    images = [image.repeat(side // 4, 0).repeat(side // 4, 1) for image in coarse]
    policy = CosineExit.from_config(facts.exits(arguments.preset), facts.config, facts.generation.max_tokens)
    settings = EngineConfig(group_size=arguments.group_size)
    runner = DenseRunner(load_model(facts), policy, facts.generation, "propagate", settings)
    engine, sent, done, depths = Engine(runner), 0, 0, Counter[int]()
    calls: set[Future[list[RowResult]]] = set()
    seen: set[str] = set()
    reports: list[dict[str, Any]] = []
    began = time.perf_counter()
    while done < arguments.rows:
        while len(calls) < arguments.calls and sent < arguments.rows:
            numbers = range(sent, min(arguments.rows, sent + arguments.rows_per_call))
            rows = [RowInput(uid=str(n), pixels=images[n % len(images)], prompt_ids=prompt) for n in numbers]
            calls.add(engine.submit(rows))
            sent = numbers.stop
        ended, calls = wait(calls, return_when=FIRST_COMPLETED)
        for result in [result for call in ended for result in call.result()]:
            assert result.error is None
            assert result.uid not in seen
            seen.add(result.uid)
            depths.update(result.trace.decoder if result.trace else ())
            done += 1
        if done * 10 // arguments.rows > len(reports):
            reports.append(
                {
                    "rows": done,
                    "rows_per_s": done / (time.perf_counter() - began),
                    "store_mib": runner.bytes / MIB,
                    "resident_mib": psutil.Process().memory_info().rss / MIB,
                    "decoder_occupancy": runner.occupancy(DECODER).share,
                    "encoder_occupancy": runner.occupancy(ENCODER).share,
                }
            )
            print("  ".join(f"{key} {value:,.3f}" for key, value in reports[-1].items()), flush=True)
    engine.close()
    spread = dict(sorted(depths.items()))
    print(json.dumps({"threads": arguments.threads, "rows": len(seen), "tokens_by_depth": spread, "reports": reports}))


if __name__ == "__main__":
    main()
