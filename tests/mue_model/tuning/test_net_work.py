"""Net work is what the engine executes, to the last FLOP, when the rows are in flight together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from mue_model import costs
from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.engine.dense import DenseRunner
from mue_model.engine.engine import Engine
from mue_model.exits import CosineExit
from mue_model.model import MueModel
from mue_model.rows import Candidate, ExitTrace, RowInput, RowResult
from mue_model.tuning.family import constant_depth
from mue_model.tuning.net_work import NetWorkCounter, Sharing, net_work

GENERATION = GenerationConfig(max_tokens=8, no_repeat_ngram=2)
CANDIDATES = tuple(Candidate(label=f"says {token}", ids=(token, 2)) for token in (7, 8, 9))


def answered(model: MueModel, rows: Sequence[RowInput], exits: ExitConfig) -> list[RowResult]:
    policy = CosineExit.from_config(exits, model.config, GENERATION.max_tokens)
    config = EngineConfig(device="cpu", group_size=4, dtype="float64")
    engine = Engine(DenseRunner(model, policy, GENERATION, "propagate", config))
    results = engine.submit(rows).result()
    engine.close()
    return results


def asked(make_rows: Callable[..., list[RowInput]]) -> list[RowInput]:
    """Five images with three queries each; two prompts, of two lengths, come again with every image."""
    prompts = [(0, 5, 6, 2), (0, 5, 11, 6, 2), (0, 9, 11, 6, 2)]
    images = make_rows(5, prefix="image")
    return [
        replace(row, uid=f"{row.uid}/{query}", prompt_ids=prompt, image_key=row.uid, candidates=CANDIDATES)
        for row in images
        for query, prompt in enumerate(prompts)
    ]


def executed(model: MueModel, results: Sequence[RowResult]) -> int:
    """What the ledger says was executed, position tables taken out."""
    flops = [costs.row_flops(model.config, own.trace) for own in results if own.trace is not None]
    tables = sum(own.regions.positions for own in flops) - sum(own.reused.tables for own in results)
    return sum(own.executed for own in flops) - sum(own.flops_reused for own in results) - tables


@pytest.mark.parametrize("streams", ["decomposed", "joint"])
@pytest.mark.parametrize("task", ["caption", "entailment"])
def test_it_is_the_engines_account(
    streams: str, task: str, small_model: Callable[..., MueModel], make_rows: Callable[..., list[RowInput]]
) -> None:
    model = small_model(streams=streams)
    rows = asked(make_rows) if task == "entailment" else make_rows(9, prompt_ids=(0, 5, 6, 2))
    sure = ExitConfig(image=0.7, joint=0.7, decoder=0.08, decoder_signal="confidence")
    for exits in (ExitConfig(), ExitConfig(image=0.7, text=0.7, joint=0.7, decoder=0.7), sure):
        results = answered(model, rows, exits)
        traces = [own.trace for own in results if own.trace is not None]
        found = net_work(model.config, rows, traces)
        assert found.executed == executed(model, results)
        alone = sum(costs.row_flops(model.config, trace).executed for trace in traces)
        assert found.executed < alone, "alone, every row pays for tables at least"
        if exits == ExitConfig():
            assert (found.executed, found.checks, found.share) == (found.full, 0, 1)
        else:
            assert found.executed < found.full
            assert 0 < found.checks <= sum(costs.row_flops(model.config, trace).checks for trace in traces)


def test_calls_and_checks_are_counted_once_for_what_is_shared(
    small_model: Callable[..., MueModel], make_rows: Callable[..., list[RowInput]]
) -> None:
    model = small_model(streams="decomposed")
    rows = asked(make_rows)
    results = answered(model, rows, constant_depth(model.config, 2))
    found = net_work(model.config, rows, [own.trace for own in results if own.trace is not None])
    assert found.layers == {"image": 5 * 2, "text": 3 * 2, "decoder": 15 * 2}
    assert found.asked == {"image": 5, "text": 3, "decoder": 15}


def test_of_confidences_those_in_vain_are_asked(
    small_model: Callable[..., MueModel], make_rows: Callable[..., list[RowInput]]
) -> None:
    """A token that leaves takes the logits along that it would need anyway."""
    model, rows = small_model(), make_rows(1)
    trace = answered(model, rows, ExitConfig())[0].trace
    assert isinstance(trace, ExitTrace)
    layers = model.config.decoder_layers
    left = replace(trace, decoder=(1, 3, layers), checks=(0, 0, 1 + 3 + 3), decoder_signal="confidence")
    found = net_work(model.config, rows, [left])
    assert found.asked["decoder"] == 0 + 2 + 3
    assert found.checks == 3 * model.config.vocab_size * 7
    assert net_work(model.config, rows, [replace(left, decoder_signal="similarity")]).asked["decoder"] == 7


def test_the_deepest_row_decides_what_a_stream_takes(
    small_model: Callable[..., MueModel], make_rows: Callable[..., list[RowInput]]
) -> None:
    """Keys and values of a shared memory are projected for the layers that any of its rows reaches."""
    model = small_model(streams="decomposed")
    rows = asked(make_rows)[:3]
    trace = answered(model, rows[:1], constant_depth(model.config, 1))[0].trace
    assert isinstance(trace, ExitTrace)
    deep = replace(trace, decoder=(3,), cross_kv_layers=3)
    counter = NetWorkCounter(model.config, Sharing.of(model.config, rows), [trace] * 3)
    one, both, all_three = (
        counter.count(own).executed for own in ([trace] * 3, [trace, deep, trace], [deep, deep, trace])
    )
    patches = trace.grid[0] * trace.grid[1]
    own = costs.row_regions(model.config, deep).decoder_layers - costs.row_regions(model.config, trace).decoder_layers
    image, text = (costs.cross_kv_flops(model.config, tokens) for tokens in (patches, trace.prompt_tokens))
    assert both - one == own + 2 * (image + text)
    assert all_three - both == own + 2 * text, "another prompt, the same image"
    assert np.array_equal(Sharing.of(model.config, rows).images, [0, 0, 0])


def test_rows_without_an_images_key_share_none(
    small_model: Callable[..., MueModel], make_rows: Callable[..., list[RowInput]]
) -> None:
    rows = [replace(row, image_key="") for row in asked(make_rows)]
    sharing = Sharing.of(small_model(streams="decomposed").config, rows)
    assert len(set(sharing.images.tolist())) == len(rows)
    assert len(set(sharing.prompts.tolist())) == 3
