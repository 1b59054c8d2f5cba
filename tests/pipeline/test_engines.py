"""Engines on the same weights: what each is for, and that warming one up costs no row anything."""

from __future__ import annotations

import numpy as np
import pytest

from mue_model.config import EngineConfig, GenerationConfig
from mue_model.loading import build_engine
from mue_model.marked_rows import marked
from mue_model.model_names import model_facts
from mue_model.rows import RowInput, RowResult
from pipeline.engines import Engines

FACTS = model_facts("seeded")
EXITS, GENERATION, CONFIG = FACTS.exits("default"), GenerationConfig(), EngineConfig(group_size=2, threads=1)
SIZE = FACTS.processor.image_size


def rows(count: int) -> list[RowInput]:
    rng = np.random.default_rng(2)
    return [
        RowInput(
            uid=f"000000-a/{n}/0",
            pixels=rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8),
            prompt_ids=FACTS.processor.prompt_ids("caption"),
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def engines() -> Engines:
    found = Engines(FACTS, EXITS, GENERATION, CONFIG, shadows=True)
    found.warm_up()
    return found


def depths(results: list[RowResult]) -> set[tuple[int, ...]]:
    return {(r.trace.image, r.trace.text, *r.trace.decoder) for r in results if r.trace is not None}


def test_the_job_s_engine_exits_and_the_other_runs_all_layers_without_a_check(engines: Engines) -> None:
    asked = rows(6)
    exits, full = (engine.submit(asked).result() for engine in (engines.job, engines.full))
    layers = {FACTS.config.encoder_layers, FACTS.config.decoder_layers}
    assert all(set(each) <= layers for each in depths(full))
    assert depths(exits) != depths(full)
    assert {r.trace.checks for r in full if r.trace is not None} == {(0, 0, 0)}
    shadows = engines.job.submit([marked(row) for row in asked]).result()
    assert [r.tokens for r in shadows] == [r.tokens for r in full]


def test_a_warmed_engine_accounts_for_its_first_row_as_a_cold_one_does() -> None:
    warmed = Engines(FACTS, EXITS, GENERATION, CONFIG, shadows=False)
    warmed.warm_up()
    [first] = warmed.job.submit(rows(1)).result()
    cold = build_engine(FACTS, EXITS, GENERATION, CONFIG)
    [expected] = cold.submit(rows(1)).result()
    assert first.trace == expected.trace
    assert (first.flops_reused, first.flops_padding) == (expected.flops_reused, expected.flops_padding)
    assert expected.flops_padding > 0, "the first row pays for tables"


def test_turns_count_the_work_of_both_so_that_a_window_is_no_standstill(engines: Engines) -> None:
    before = engines.turns
    engines.full.submit(rows(1)).result()
    between = engines.turns
    engines.job.submit(rows(1)).result()
    assert before < between < engines.turns


def test_w_is_that_of_the_engine_with_more_places_to_wait(engines: Engines) -> None:
    assert engines.rows_wanted(scored=False) > 2 * CONFIG.group_size
    assert engines.rows_wanted(scored=True) > CONFIG.image_group_size
