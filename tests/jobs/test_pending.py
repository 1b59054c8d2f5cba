"""What is left to read, told from the receipts."""

from __future__ import annotations

from typing import Any

from jobs.pending import (
    any_uncommitted,
    bad_shards,
    give_up_bad_shards,
    out_of_reach,
    reopen,
    second_reads,
    unfinished_reads,
)


def test_everything_is_left_before_the_first_commit(job: Any) -> None:
    reads = unfinished_reads(job.plan, job.ledger)
    assert [(read.shard_id, read.url, read.size, read.etag, read.skip) for read in reads] == [
        ("000000-a", "in/000000-a.tar", 1000, "1", ()),
        ("000001-b", "in/000001-b.tar", 1000, "1", ()),
    ]


def test_a_finished_shard_is_left_out_and_done_rows_of_an_open_one_are_skipped(job: Any) -> None:
    job.commit_shard("000000-a")
    job.commit("a1-x", *[job.row("000001-b", number) for number in (0, 1, 3)])
    [read] = unfinished_reads(job.plan, job.ledger)
    assert (read.shard_id, read.skip) == ("000001-b", ((0, 2), (3, 4)))


def test_a_bad_shard_is_read_once_more_and_then_given_up(job: Any) -> None:
    job.commit_shard("000000-a")
    rows = [job.row("000001-b", number) for number in range(2)]
    end = job.end("000001-b", 2, shard_state="bad", shard_code="truncated", shard_message="no end")
    job.commit("a1-x", *rows, end)
    assert unfinished_reads(job.plan, job.ledger) == []
    assert [(read.shard_id, read.skip) for read in second_reads(job.plan, job.ledger)] == [("000001-b", ((0, 2),))]

    give_up_bad_shards(job.plan, job.ledger)

    assert second_reads(job.plan, job.ledger) == []
    assert [shard.shard_id for shard in bad_shards(job.plan, job.ledger)] == ["000001-b"]
    [entry] = job.ledger.failure_entries()
    assert (entry.shard_id, entry.code, entry.message, entry.attempts) == ("000001-b", "truncated", "no end", 2)


def test_a_shard_that_was_whole_the_second_time_is_not_given_up(job: Any) -> None:
    job.commit("a1-x", job.end("000001-b", 0, shard_state="bad", shard_code="unreadable", shard_message="timeout"))
    job.commit("a1-y", job.row("000001-b", 0), job.end("000001-b", 1))
    give_up_bad_shards(job.plan, job.ledger)
    assert job.ledger.failure_entries() == []
    assert bad_shards(job.plan, job.ledger) == []


def test_what_storage_withheld_may_be_read_again_and_what_is_broken_may_not(job: Any) -> None:
    job.commit("a1-x", job.end("000000-a", 0, shard_state="bad", shard_code="unreadable", shard_message="timeout"))
    job.commit("a1-y", job.end("000001-b", 0, shard_state="bad", shard_code="truncated", shard_message="no end"))
    give_up_bad_shards(job.plan, job.ledger)
    assert second_reads(job.plan, job.ledger) == []
    reopen(job.ledger, out_of_reach(job.ledger))
    assert [read.shard_id for read in second_reads(job.plan, job.ledger)] == ["000000-a"]
    assert [entry.shard_id for entry in job.ledger.failure_entries()] == ["000001-b"]


def test_rows_are_open_until_every_one_is_committed(job: Any) -> None:
    job.commit("a1-x", *[job.row("000001-b", number) for number in (0, 1, 3)])
    assert not any_uncommitted(job.ledger, "000001-b", ((0, 2), (3, 4)))
    assert any_uncommitted(job.ledger, "000001-b", ((1, 3),))
    assert any_uncommitted(job.ledger, "000000-a", ((0, 1),))


def test_only_some_shards_may_be_asked_for(job: Any) -> None:
    assert [read.shard_id for read in unfinished_reads(job.plan, job.ledger, of={"000001-b"})] == ["000001-b"]
