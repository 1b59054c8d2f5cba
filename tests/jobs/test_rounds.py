"""Rounds of a segment: deaths lead to more care, and never to an endless loop."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.poison import TooMuchPoison
from jobs.rounds import Rounds
from pipeline.intents import Care, Intent, Suspects, read_intents
from pipeline.records import ErrorStage
from pipeline.segment_failure import SegmentFailed
from pipeline.shard_read import ShardRead

A = "000000-a"
READ = ShardRead(shard_id=A, url="in/000000-a.tar", size=1000)


class Script:
    """What happens in each round; remembers what it was told."""

    def __init__(self, *rounds: Any) -> None:
        self._rounds = list(rounds)
        self.told: list[tuple[bool, Suspects]] = []

    def reads(self) -> list[ShardRead]:
        return [READ] if self._rounds else []

    def __call__(self, reads: list[ShardRead], watched: bool, suspects: Suspects) -> bool:
        assert reads == [READ]
        self.told.append((watched, suspects))
        self._rounds.pop(0)()
        return False


def death(job: Any, care: Care | None = None, rows: tuple[int, int] = (0, 5)) -> Any:
    """A round that dies, and leaves an intent."""

    def die() -> None:
        if care is not None:
            document = Intent(stage=ErrorStage.INFER, care=care, rows={A: (rows,)}).to_json()
            job.ledger.storage.write(f"intents/a1-x-{care}-{rows[0]}.json", document)
        raise SegmentFailed("the actor died", died=True)

    return die


def rounds(job: Any, *, watched: bool = False, allowed: int = 20) -> Rounds:
    return Rounds(job.ledger, lambda shard_id, rows: True, max_poison_rows=allowed, watched=watched)


def test_an_undisturbed_segment_takes_one_round_and_no_records(job: Any) -> None:
    script = Script(lambda: None)
    rounds(job).run(script.reads, script)
    assert script.told == [(False, Suspects())]


def test_each_death_tells_the_next_round_more(job: Any) -> None:
    row = (3, 4)
    script = Script(
        death(job),
        death(job, Care.TOGETHER),
        death(job, Care.HALVES),
        death(job, Care.ALONE, row),
        death(job, Care.AGAIN, row),
        lambda: None,
    )
    rounds(job).run(script.reads, script)
    assert [watched for watched, _ in script.told] == [False, True, True, True, True, True]
    cares = [suspects.of(ErrorStage.INFER, A, 3) for _, suspects in script.told]
    assert cares == [Care.TOGETHER, Care.TOGETHER, Care.HALVES, Care.ALONE, Care.AGAIN, Care.QUARANTINE]
    assert script.told[-1][1].of(ErrorStage.INFER, A, 2) is Care.ALONE, "only the row that was alone twice is condemned"


def test_deaths_that_tell_nothing_end_the_job(job: Any) -> None:
    script = Script(*[death(job)] * 9)
    with pytest.raises(SegmentFailed, match="the actor died"):
        rounds(job).run(script.reads, script)
    assert len(script.told) == 2


def test_deaths_between_which_rows_are_committed_do_not(job: Any) -> None:
    numbers = iter(range(5))

    def commit_and_die() -> None:
        number = next(numbers)
        job.commit(f"a1-{number}", job.row(A, number))
        raise SegmentFailed("the actor died", died=True)

    script = Script(*[commit_and_die] * 5, lambda: None)
    rounds(job).run(script.reads, script)
    assert len(script.told) == 6


def test_an_error_that_is_no_death_is_not_tried_again(job: Any) -> None:
    def fail() -> None:
        raise SegmentFailed("engine.device = cuda: there is none")

    script = Script(fail, lambda: None)
    with pytest.raises(SegmentFailed, match="there is none"):
        rounds(job).run(script.reads, script)
    assert len(script.told) == 1


def test_after_a_killed_attempt_the_first_segment_is_watched_and_its_intents_count(job: Any) -> None:
    with pytest.raises(SegmentFailed):
        death(job, Care.TOGETHER)()
    job_rounds, first, second = rounds(job, watched=True), Script(lambda: None), Script(lambda: None)
    job_rounds.run(first.reads, first)
    for path in read_intents(job.ledger.storage):
        job.ledger.storage.delete(path)
    job_rounds.run(second.reads, second)
    assert first.told[0][0]
    assert first.told[0][1].of(ErrorStage.INFER, A, 0) is Care.HALVES
    assert second.told == [(False, Suspects())]


def test_intents_of_committed_rows_are_forgotten(job: Any) -> None:
    script = Script(death(job, Care.TOGETHER), lambda: None)
    is_open = iter([True, False])
    Rounds(job.ledger, lambda shard_id, rows: next(is_open), max_poison_rows=1, watched=False).run(script.reads, script)
    assert read_intents(job.ledger.storage) == {}


def test_what_actors_of_a_killed_job_left_of_their_starts_is_forgotten(job: Any) -> None:
    job.ledger.storage.write("starts/a1-x-1", b"")
    script = Script(lambda: None)
    rounds(job).run(script.reads, script)
    assert job.ledger.storage.list("starts") == []


def test_too_many_poison_rows_point_elsewhere(job: Any) -> None:
    script = Script(death(job, Care.AGAIN, (1, 2)), death(job, Care.AGAIN, (2, 3)), lambda: None)
    with pytest.raises(
        TooMuchPoison, match=r"2 rows killed or hung .*max_poison_rows is 1: 000000-a/1/0, 000000-a/2/0"
    ):
        rounds(job, allowed=1).run(script.reads, script)


def test_a_round_that_was_cut_short_is_followed_by_another(job: Any) -> None:
    class CutShort(Script):
        def __call__(self, reads: list[ShardRead], watched: bool, suspects: Suspects) -> bool:
            super().__call__(reads, watched, suspects)
            return len(self.told) < 3

    script = CutShort(*[lambda: None] * 5)
    rounds(job).run(script.reads, script)
    assert len(script.told) == 3
    script = CutShort(lambda: None)
    rounds(job).run(script.reads, script)
    assert len(script.told) == 1, "nothing was left to read"
