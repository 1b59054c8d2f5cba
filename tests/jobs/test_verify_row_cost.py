"""What rows report as FLOPs is what an independent counter sees when the reference runs them again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from jobs.savings import savings
from jobs.verify_folder import read_folder
from jobs.verify_model import job_model
from mue_model.exits import CosineExit
from mue_model.layers import Attention, attend
from mue_model.loading import load_model
from mue_model.reference import run_row
from pipeline.fan_out import query_rows
from pipeline.ledger import Ledger
from pipeline.preprocess import DecodeRows
from pipeline.shard_rows import iter_tables
from pipeline.storage import Storage


def test_reported_flops_are_those_of_a_counter_around_the_reference(honest: Path, labelled: Path) -> None:
    ledger = Ledger(Storage.open(str(honest)))
    job = job_model(read_folder(ledger), None)
    model = load_model(job.facts)
    assert all(module.kernel is attend for module in model.modules() if isinstance(module, Attention))
    policy = CosineExit.from_config(job.exits, job.facts.config, job.generation.max_tokens)
    table = pa.concat_tables(ledger.read_live())
    reported = {row["uid"]: row for row in table.filter(pc.equal(table["status"], "ok")).to_pylist()}
    decode = DecodeRows.from_processor(job.facts.processor)
    seen: dict[str, int] = {}
    for raw in iter_tables(str(labelled), "000000-00000", suffixes=("jpg",), max_member_bytes=1 << 20):
        for row in query_rows(decode(raw), decode.image_size):
            if row.asked is not None:
                with FlopCounterMode(display=False) as counter:
                    result = run_row(model, row.asked, policy, job.generation, job.exits.kv_policy)
                assert list(result.tokens) == reported[row.asked.uid]["tokens"]
                seen[row.asked.uid] = counter.get_total_flops()

    assert len(seen) == 16
    assert {uid: row["flops_executed"] for uid, row in reported.items()} == seen
    assert len({tuple(row["decoder_layers_run"]) for row in reported.values()}) > 3, "rows leave at several depths"
    assert savings(ledger).total.flops_executed == sum(seen.values())


class Hooks:
    """Counts multiply-accumulates of linear layers and convolutions alone, module by module, in another way."""

    def __init__(self, model: nn.Module) -> None:
        self.flops = 0
        for module in model.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                module.register_forward_hook(self._count)

    def _count(self, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        weight: Any = module.weight
        self.flops += 2 * output.numel() * (weight[0].numel())


def test_hooks_on_modules_see_nearly_all_of_it(honest: Path, labelled: Path) -> None:
    ledger = Ledger(Storage.open(str(honest)))
    job = job_model(read_folder(ledger), None)
    model = load_model(job.facts)
    hooks = Hooks(model)
    policy = CosineExit.from_config(job.exits, job.facts.config, job.generation.max_tokens)
    decode = DecodeRows.from_processor(job.facts.processor)
    raw = next(iter_tables(str(labelled), "000000-00000", suffixes=("jpg",), max_member_bytes=1 << 20))
    for row in query_rows(decode(raw), decode.image_size):
        if row.asked is not None:
            run_row(model, row.asked, policy, job.generation, job.exits.kv_policy)
    executed = savings(ledger).total.flops_executed
    # Products of states with states, and with the embedding, belong to no module with a weight.
    assert 0.85 * executed < hooks.flops <= executed
