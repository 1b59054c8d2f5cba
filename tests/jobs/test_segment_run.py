"""What a segment is run with, and when it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.planning import prepare
from jobs.segment_run import SegmentRun
from jobs.stopping import JobStop, StopCause
from pipeline.actor_audit import ActorAudit, shadow_selection
from pipeline.build import Segment
from pipeline.control import request_scale
from pipeline.exit_codes import ExitCode
from pipeline.intents import Suspects
from pipeline.segment_failure import SegmentFailed
from pipeline.shard_read import ShardRead
from pipeline.spec import ActorsConfig, InputsConfig, JobSpec, OutputConfig

READ = ShardRead(shard_id="000000-a", url="in/a.tar", size=1)
CAUSE = StopCause(exit_code=ExitCode.INTERRUPTED, reason="stopped by SIGTERM")


def no_gpus(actors: ActorsConfig) -> float:
    return actors.num_gpus or 0.0


class Run:
    """A segment run whose work is to remember what it was given."""

    def __init__(self, job: Any, folder: Path, error: Exception | None = None, **more: Any) -> None:
        (folder / "a.tar").write_bytes(bytes(1024))
        spec = self.spec = JobSpec(
            inputs=InputsConfig(urls=(str(folder / "a.tar"),)), output=OutputConfig(url=str(job.folder)), model="seeded"
        )
        self.seen: list[tuple[JobSpec, Segment]] = []
        self.stop = JobStop(job.ledger.storage, "a1", drain_s=30)
        self._error = error
        self.run = SegmentRun(
            prepare(spec), job.plan, job.ledger, "a1", self.stop, node_cpus=(4,), work=self._work,
            **{"gpus": no_gpus} | more,
        )  # fmt: skip

    def _work(self, spec: JobSpec, segment: Segment, *rest: object) -> None:
        self.seen.append((spec, segment))
        if self._error is not None:
            raise self._error

    def __call__(self) -> bool:
        return self.run([READ], True, Suspects())


def test_each_segment_has_a_name_of_its_own_and_a_guard(job: Any, tmp_path: Path) -> None:
    run = Run(job, tmp_path)
    run()
    run()
    assert [segment.number for _, segment in run.seen] == [0, 1]
    spec, segment = run.seen[0]
    assert (segment.guard.attempt, segment.guard.watched, segment.guard.stuck_s) == ("a1", True, spec.failures.stuck_s)
    assert spec.engine.threads == 3, "an actor on a CPU gets the machine's cores but one"


def test_processes_are_told_what_the_plan_audits_or_what_the_caller_says(job: Any, tmp_path: Path) -> None:
    run = Run(job, tmp_path)
    run()
    assert run.seen[0][1].audit is None
    audited = job.plan.model_copy(update={"audit_rates": {"deep": 0.5}})
    asked = ActorAudit(shadows=shadow_selection(audited), windows=7)
    for plan, audit in ((audited, None), (job.plan, lambda reads: asked)):
        work = Run(job, tmp_path)
        work.run = SegmentRun(
            prepare(work.spec), plan, job.ledger, "a1", work.stop, node_cpus=(4,), work=work._work, audit=audit,
            gpus=no_gpus,
        )  # fmt: skip
        work()
        found = work.seen[0][1].audit
        assert found is not None
        assert (found.shadows.rates["deep"], found.windows) == (0.5, 7 if audit else 0)


def test_nothing_is_begun_once_the_job_is_to_stop(job: Any, tmp_path: Path) -> None:
    run = Run(job, tmp_path)
    run.stop.request(CAUSE)
    run()
    assert run.seen == []


def test_a_death_matters_unless_the_job_was_to_stop_anyway(job: Any, tmp_path: Path) -> None:
    run = Run(job, tmp_path, SegmentFailed("the actor died", died=True))
    with pytest.raises(SegmentFailed):
        run()

    class StoppedMeanwhile(Run):
        def _work(self, spec: JobSpec, segment: Segment, *rest: object) -> None:
            self.stop.request(CAUSE)
            raise SegmentFailed("the actor died", died=True)

    StoppedMeanwhile(job, tmp_path)()


def test_a_request_for_actors_cuts_a_segment_short_and_the_next_one_has_them(job: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    class Scaled(Run):
        def _work(self, spec: JobSpec, segment: Segment, *rest: object) -> None:
            super()._work(spec, segment, *rest)
            if len(self.seen) == 1:
                request_scale(job.ledger.storage, "another", min_actors=9, max_actors=9)
                request_scale(job.ledger.storage, "a1", min_actors=2, max_actors=5)

    run = Scaled(job, tmp_path, on_scale=lambda scale, segment: told.append((scale.max, segment)))
    assert [run(), run(), run()] == [True, False, False]
    assert [(spec.actors.min, spec.actors.max) for spec, _ in run.seen] == [(1, None), (2, 5), (2, 5)]
    assert told == [(5, 1)], "once"
    first, second, third = (segment.guard for _, segment in run.seen)
    assert first.stop_watch().stopped()
    assert not second.stop_watch().stopped()
    assert not third.stop_watch().stopped()


def test_a_job_that_was_on_gpus_waits_for_them_when_their_nodes_are_gone(job: Any, tmp_path: Path) -> None:
    there = iter([0.0, 1.0, 0.0])
    run = Run(job, tmp_path, gpus=lambda actors: next(there))
    run()
    run()
    run()
    assert [spec.actors.num_gpus for spec, _ in run.seen] == [0, 1, 1]
