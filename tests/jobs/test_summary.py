from __future__ import annotations

from typing import Any

import pytest

from jobs.summary import summarise


def test_rows_are_counted_by_status_and_code(finished: Any) -> None:
    summary = summarise(finished.ledger)
    assert summary.rows == 10
    assert summary.rows_by_status == {"ok": 9, "failed": 1, "filtered": 0}
    assert summary.errors_by_code == {"corrupt_image": 1}
    assert (summary.shards_done, summary.shards_total, summary.shards_bad) == (2, 2, 0)


def test_only_good_rows_count_as_compute_and_saving(finished: Any) -> None:
    summary = summarise(finished.ledger)
    assert summary.flops_executed == 9 * 600
    assert summary.flops_full_same_length == 9 * 1000
    assert summary.flops_of_other_rows == 3
    assert (summary.flops_checks, summary.flops_kv_fill, summary.flops_reused, summary.flops_padding) == (
        90,
        180,
        45,
        63,
    )
    assert summary.saved_share == pytest.approx(0.4)
    assert summary.net_saved_share == pytest.approx(0.39)


def test_depths_are_means_of_good_rows_and_of_decoding_steps(job: Any) -> None:
    job.commit(
        "a1-0-0",
        job.row("000000-a", 0, image_layers_run=2, text_layers_run=6, decoder_layers_run=[4]),
        job.row("000000-a", 1, image_layers_run=3, text_layers_run=5, decoder_layers_run=[1, 1, 2]),
        job.failed_row("000000-a", 2),
    )
    summary = summarise(job.ledger)
    assert (summary.mean_image_layers, summary.mean_text_layers) == (2.5, 5.5)
    assert summary.mean_decoder_layers == 2.0
    assert summary.decoder_steps == 4
    assert summary.paper_layer_metric == pytest.approx(1 - ((2.5 + 5.5) / 2 + 2.0) / (6 + 4))


def test_one_joint_stream_counts_for_both(job: Any) -> None:
    job.commit("a1-0-0", job.row("000000-a", 0, image_layers_run=3, text_layers_run=None, decoder_layers_run=[2]))
    summary = summarise(job.ledger)
    assert summary.mean_text_layers is None
    assert summary.paper_layer_metric == pytest.approx(1 - (3 + 2) / 10)


def test_sums_are_exact_where_int64_wraps(job: Any) -> None:
    huge = 2**62 + 1
    rows = [job.row("000000-a", n, flops_executed=huge, flops_full_same_length=2**63 - 1) for n in range(4)]
    job.commit("a1-0-0", *rows)
    job.commit("a1-0-1", *[job.row("000001-b", n, flops_executed=huge) for n in range(3)])
    summary = summarise(job.ledger)
    assert summary.flops_executed == 7 * huge > 2**63
    assert summary.flops_full_same_length == 4 * (2**63 - 1) + 3 * 1000


def test_a_planned_job_has_nothing_to_compare(job: Any) -> None:
    summary = summarise(job.ledger)
    assert (summary.rows, summary.shards_done, summary.shards_total) == (0, 0, 2)
    assert summary.saved_share is summary.mean_image_layers is summary.paper_layer_metric is summary.rows_per_s is None


def test_bad_shards_are_counted_by_code(job: Any) -> None:
    job.commit_shard("000000-a")
    job.commit_bad_shard("000001-b")
    summary = summarise(job.ledger)
    assert (summary.shards_done, summary.shards_bad) == (2, 1)
    assert summary.bad_shards_by_code == {"truncated": 1}


def test_the_measured_speed_comes_from_the_last_run(finished: Any) -> None:
    finished.ledger.storage.write("run.json", b'{"rows_per_s": 12.5, "wall_s": 3}')
    summary = summarise(finished.ledger)
    assert (summary.rows_per_s, summary.wall_s) == (12.5, 3.0)
