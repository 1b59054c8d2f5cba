"""The same shape through others' code: transformers' batched generate(), and the CALM of `economize` from PyPI.

    pip install 'transformers>=5' economize==0.3.2
    python benchmarks/peers.py [--threads 2] [--rounds 3] [--rows 512] [--width 192]

transformers: a BART decoder of the sizes of `demo` over the same memory, all texts equally long, at its best batch;
beside it our decoder region, exits off and on. FLOPs of both are printed: the architectures differ a little.
economize: a Llama of the same width and layers with random weights, 32 prompts at a time; beside what it claims by its
own count stands what torch's counter saw executed.
Prints tables and, as the last line of stdout, one JSON document.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from engine import UNREACHABLE, demo_model, gemm_peak, show, work_share
from engine_regions import DenseDecoder, Work, script, static_decoder
from torch.utils.flop_counter import FlopCounterMode

from mue_model.config import ModelConfig
from mue_model.exits import CosineExit, NeverExit

REGIONS = ("cross_kv", "decoder_layers", "kv_fill", "head")


def seconds_of(run: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def counted(run: Callable[[], Any]) -> int:
    """FLOPs that torch's counter sees."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def bart(config: ModelConfig, memory_tokens: int, attention: str) -> Any:
    """A BART of our decoder's sizes; its encoder is never run."""
    from transformers import BartConfig, BartForConditionalGeneration

    torch.manual_seed(0)
    made = BartConfig(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        encoder_layers=1,
        decoder_layers=config.decoder_layers,
        encoder_attention_heads=config.encoder_attention_heads,
        decoder_attention_heads=config.decoder_attention_heads,
        encoder_ffn_dim=config.encoder_ffn_dim,
        decoder_ffn_dim=config.decoder_ffn_dim,
        max_position_embeddings=max(64, memory_tokens),
        dropout=0.0,
        attn_implementation=attention,
    )
    return BartForConditionalGeneration(made).eval()


def generate(model: Any, memory: torch.Tensor, steps: int, batch: int) -> None:
    """All rows, greedily, `steps` tokens each."""
    from transformers.modeling_outputs import BaseModelOutput

    for start in range(0, len(memory), batch):
        part = memory[start : start + batch]
        model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=part),
            attention_mask=torch.ones(part.shape[:2], dtype=torch.long),
            max_new_tokens=steps,
            min_new_tokens=steps,
            num_beams=1,
            do_sample=False,
            use_cache=True,
        )


def against_transformers(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows a second of both, exits off and on."""
    model = demo_model()
    work = Work(model, (8, 8), 12, 16, arguments.rows)
    memory, exits = work.memory(), script(work, "geometric")
    off = CosineExit({"decoder": [UNREACHABLE] * model.config.decoder_layers})
    theirs = bart(model.config, memory.shape[1], "sdpa")
    variants: dict[str, Callable[[], Any]] = {
        f"transformers, batch {batch}": (lambda batch=batch: generate(theirs, memory, work.steps, batch))
        for batch in (32, 64, 128)
    }  # type: ignore[misc]
    for group in (64, 128):
        variants[f"mue, full-depth batch of {group}"] = lambda group=group: static_decoder(  # type: ignore[misc]
            work, memory, NeverExit(), group
        )
        variants[f"mue, regroup, checks never reached, {group}"] = DenseDecoder(work, memory, off, group)
        variants[f"mue, regroup, exits on, {group}"] = DenseDecoder(work, memory, exits, group)
    for run in variants.values():  # not timed: code is compiled and stores grow
        run()
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(arguments.rounds):
        for name in variants if number % 2 == 0 else reversed(variants):
            taken[name].append(seconds_of(variants[name]))
    traces = DenseDecoder(work, memory, exits, 64)().traces
    executed, at_full = work_share(model.config, traces, REGIONS)
    eager = bart(model.config, memory.shape[1], "eager")
    flops = counted(lambda: generate(eager, memory[:32], work.steps, 32)) * work.rows / 32
    best = min((name for name in variants if name.startswith("trans")), key=lambda name: statistics.median(taken[name]))
    entries = []
    for name, seconds in taken.items():
        ratio = statistics.median(ours / their for ours, their in zip(seconds, taken[best], strict=True))
        total = flops if name.startswith("trans") else executed if "exits on" in name else at_full
        entries.append(
            {
                "variant": name,
                "gflops_a_row": total / work.rows / 1e9,
                "rows_per_s": work.rows / statistics.median(seconds),
                "time_vs_best_transformers": ratio,
            }
        )
    print(f"f of the scripted depths: {executed / at_full:.3f}")
    return entries


def against_economize(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """What CALM claims and what it executes, 32 rows at a time."""
    import economize
    from economize.techniques.dynamic_depth.calm import CalmConfig
    from transformers import LlamaConfig, LlamaForCausalLM

    def fresh() -> Any:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=2570,
            hidden_size=arguments.width,
            intermediate_size=4 * arguments.width,
            num_hidden_layers=6,
            num_attention_heads=6,
            num_key_value_heads=6,
            max_position_embeddings=256,
            attn_implementation="eager",
        )
        return LlamaForCausalLM(config).eval()

    prompts = torch.randint(4, 2570, (32, 16), generator=torch.Generator().manual_seed(1))
    plain = economize.apply(fresh())
    base_flops = counted(lambda: plain.decode_batch(prompts, arguments.tokens))
    entries = []
    for threshold in arguments.thresholds:
        model = economize.apply(fresh(), CalmConfig(confidence="state", threshold=threshold))
        flops = counted(lambda model=model: model.decode_batch(prompts, arguments.tokens))
        claimed = claimed_share(model)
        times = []
        for _ in range(arguments.rounds):
            base_s = seconds_of(lambda: plain.decode_batch(prompts, arguments.tokens))
            times.append(seconds_of(lambda model=model: model.decode_batch(prompts, arguments.tokens)) / base_s)
        entries.append(
            {
                "threshold": threshold,
                "claimed_share_of_layers": claimed,
                "executed_flops": flops / base_flops,
                "time": statistics.median(times),
            }
        )
    return entries


def claimed_share(model: Any) -> float:
    """The executed share of layer applications by the technique's own meter."""
    [technique] = model.techniques.values()
    return float(technique.last_policy.meter.summary()["executed_fraction"])


def main() -> None:
    """Measure, print, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.9, 0.95, 0.97, 0.98, 0.99])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with torch.inference_mode():
        peak = gemm_peak()
        transformers = against_transformers(arguments)
        show("decoder of 6 layers, 76 memory tokens, 16 tokens a text", transformers)
        economize = against_economize(arguments)
        show("economize, CALM by state similarity, against its own plain decoding", economize)
    document = {
        "threads": arguments.threads,
        "gemm_peak_gflops": peak / 1e9,
        "transformers": transformers,
        "economize": economize,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
