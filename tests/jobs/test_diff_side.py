from __future__ import annotations

from typing import Any

from jobs.diff_side import SideTally


def test_sums_are_exact_and_means_are_over_all_steps(job: Any) -> None:
    tally = SideTally(job.ledger)
    big = 1 << 62
    tally.add(job.row("000000-a", 0, flops_executed=big, decoder_layers_run=[1, 2, 3]))
    tally.add(job.row("000000-a", 1, flops_executed=big, decoder_layers_run=[4], text_layers_run=None))
    tally.add(job.row("000000-a", 2, flops_executed=big))
    side = tally.side()
    assert side.flops_executed == 3 * big
    assert side.mean_layers == {"image": 2.0, "text": 4.0, "decoder": 16 / 7}
    assert (side.finished, side.rows_per_s, side.cores) == (False, None, None)


def test_nothing_counted_is_no_zero(job: Any) -> None:
    side = SideTally(job.ledger).side()
    assert (side.mean_tokens, side.mean_layers["decoder"]) == (None, None)
