"""Savings of small real ledgers against sums made by hand."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from jobs.savings import savings
from pipeline.records import COMMIT_SCHEMA

HUGE = 2**62 + 1


def test_only_good_rows_save_and_every_overhead_is_a_line(finished: Any) -> None:
    found = savings(finished.ledger)

    assert (found.total.rows_ok, found.total.rows_failed) == (9, 1)
    assert (found.total.flops_full_same_length, found.total.flops_executed) == (9 * 1000, 9 * 600)
    assert found.total.flops_saved_by_early_exit == 9 * 400
    assert found.flops_overheads == {
        "checks": 90,
        "padding": 63,
        "shadow": 0,
        "rows_without_a_result": 3,
        "discarded": 0,
    }
    assert found.flops_net == 9 * 400 - 90 - 63 - 3
    assert found.total.flops_reused == 45, "sharing is no part of the net saving"


def test_the_document_is_exact_json(job: Any) -> None:
    rows = [job.row("000000-a", n, flops_executed=HUGE, flops_full_same_length=2 * HUGE - 3) for n in range(5)]
    job.commit("a1-0-0", *rows, job.end("000000-a", 5))

    document = json.loads(json.dumps(savings(job.ledger).document()))

    assert document["a_same_length_flops"]["executed"] == 5 * HUGE > 2**63
    assert document["a_same_length_flops"]["saved_by_early_exit"] == 5 * (HUGE - 3)
    assert document["a_same_length_flops"]["net"] == 5 * (HUGE - 3) - 50 - 35
    assert document["b_counterfactual"]["measured"] is document["c_time"]["measured"] is False
    assert document["overhead_seconds"]["load_s"] is None, "unknown is not zero"
    assert document["counted_on_the_machine"] == 5 * (HUGE - 5 + 7)


def test_tasks_and_steps_are_counted_apart(job: Any) -> None:
    job.commit(
        "a1-0-0",
        job.row("000000-a", 0, decoder_layers_run=[1, 4, 2], image_layers_run=1),
        job.row("000000-a", 1, decoder_layers_run=[3], image_layers_run=5, flops_executed=100),
        job.row("000000-a", 2, task="vqa", decoder_layers_run=[2, 2], text_layers_run=None),
        job.failed_row("000000-a", 3),
        job.end("000000-a", 4),
    )
    caption, vqa = savings(job.ledger).tasks

    assert (caption.task, caption.rows_ok, caption.rows_failed, caption.attempts_failed) == ("caption", 2, 1, 1)
    assert [(step.step, step.tokens, step.layers_run, step.by_depth) for step in caption.steps] == [
        (0, 2, 4, {1: 1, 3: 1}),
        (1, 1, 4, {4: 1}),
        (2, 1, 2, {2: 1}),
    ]
    assert (caption.image_by_depth, caption.flops_executed) == ({1: 1, 5: 1}, 700)
    assert (vqa.task, vqa.text_by_depth, vqa.steps[1].by_depth) == ("vqa", {}, {2: 1})
    total = savings(job.ledger).total
    assert total.steps[0].by_depth == {1: 1, 2: 1, 3: 1}
    assert total.flops_executed == caption.flops_executed + vqa.flops_executed


def test_the_papers_metric_stands_apart_from_flops(job: Any) -> None:
    job.commit(
        "a1-0-0",
        job.row("000000-a", 0, image_layers_run=2, text_layers_run=6, decoder_layers_run=[4]),
        job.row("000000-a", 1, image_layers_run=3, text_layers_run=5, decoder_layers_run=[1, 1, 2]),
    )
    found = savings(job.ledger)
    assert found.paper_layer_metric == pytest.approx(1 - ((2.5 + 5.5) / 2 + 2.0) / (6 + 4))
    assert found.document()["paper_layer_metric"] == found.paper_layer_metric


def test_shadow_runs_are_charged(job: Any) -> None:
    shadow = {"text": "a", "n_tokens": 2, "layers": [4, 4], "flops": 1100, "agrees": True}
    job.commit("a1-0-0", job.row("000000-a", 0, shadow=shadow), job.row("000000-a", 1))
    found = savings(job.ledger)
    assert (found.total.rows_shadowed, found.flops_overheads["shadow"]) == (1, 1100)
    assert found.flops_net == 2 * (400 - 10 - 7) - 1100


def test_work_done_twice_is_discarded_work(job: Any) -> None:
    job.commit("a1-0-0", *[job.row("000000-a", n) for n in range(4)], job.end("000000-a", 4))
    job.commit("a2-0-0", *[job.row("000000-a", n, attempt_id="a2", flops_executed=50) for n in (1, 2)])
    job.commit("a2-1-0", job.row("000001-b", 0, attempt_id="a2"), job.end("000001-b", 1))
    job.ledger.repair()
    (job.folder / "data" / "a3-orphan.parquet").write_bytes((job.folder / "data" / "a2-1-0.parquet").read_bytes())

    found = savings(job.ledger)

    assert found.total.rows_ok == 5
    assert (found.discarded.rows, found.discarded.flops) == (3, 2 * 50 + 600)
    assert found.flops_overheads["discarded"] == 700
    (job.folder / "data" / "a2-0-0.parquet").unlink()
    assert (savings(job.ledger).discarded.flops, savings(job.ledger).discarded.files_unreadable) == (600, 1)


def test_rows_that_a_retry_copied_are_not_work_done_twice(job: Any) -> None:
    failed = job.failed_row("000000-a", 1, "model_error") | {"flops_executed": 77}
    job.commit("a1-0-0", job.row("000000-a", 0), failed, job.end("000000-a", 2))
    again = job.row("000000-a", 1, attempts=2, attempt_id="a2")
    table = pa.Table.from_pylist([job.row("000000-a", 0), again], schema=COMMIT_SCHEMA)
    job.ledger.commit(
        table, name="a2-0-0", attempt="a2", fingerprint=job.plan.fingerprint, replaces=["data/a1-0-0.parquet"]
    )
    found = savings(job.ledger)
    assert (found.discarded.rows, found.discarded.flops) == (1, 77)
    assert (found.total.rows_ok, found.total.attempts_failed, found.total.rows_retried) == (2, 1, 1)


def test_a_planned_job_has_nothing_to_compare(job: Any) -> None:
    document = savings(job.ledger).document()
    assert document["a_same_length_flops"]["share_net"] is document["paper_layer_metric"] is None
    assert (document["total"]["rows_ok"], document["tasks"]) == (0, [])
