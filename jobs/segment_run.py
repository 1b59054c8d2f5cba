"""One Dataset of a job: a segment, or what is left of it, run with a guard and stopped where the job is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

from cluster.local import torch_threads
from jobs.planning import PreparedJob
from jobs.segment_audit import actor_audit
from jobs.stopping import JobStop
from mue_model.config import ExitConfig, GenerationConfig
from mue_model.model_folder import ModelFacts
from pipeline.actor_audit import ActorAudit
from pipeline.build import Segment, run_segment
from pipeline.guard import Guard
from pipeline.intents import Suspects
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.segment_failure import SegmentFailed
from pipeline.shard_read import ShardRead
from pipeline.spec import JobSpec

Work = Callable[[JobSpec, Segment, ModelFacts, ExitConfig, GenerationConfig], None]


class SegmentRun:
    """Runs reads of one attempt, each call under a part name of its own; does nothing once the job is to stop."""

    def __init__(
        self,
        job: PreparedJob,
        plan: Plan,
        ledger: Ledger,
        attempt: str,
        stop: JobStop,
        *,
        cores: int,
        work: Work = run_segment,
        audit: Callable[[list[ShardRead]], ActorAudit | None] | None = None,
    ) -> None:
        """Run nothing yet.

        Args:
            job: The job.
            plan: In force.
            ledger: Of its output.
            attempt: Whose reads they are.
            stop: What ends it.
            cores: Of this machine.
            work: Done on each segment: as a rule its rows are committed.
            audit: Says what the processes of some reads are told; left out: what the plan says.
        """
        self._job = _with_threads(job, cores)
        self._plan, self._ledger, self._attempt, self._stop, self._work = plan, ledger, attempt, stop, work
        self._audit = audit or (lambda reads: actor_audit(plan, ledger.progress(), reads, job.spec.actors))
        self._numbers = count()

    def __call__(self, reads: list[ShardRead], watched: bool, suspects: Suspects) -> None:
        """Run `reads` to their end or to the stop.

        Raises:
            SegmentFailed: Ray gave up, and not because the job was to stop.
        """
        if self._stop.cause:
            return
        job = self._job
        segment = Segment(
            number=next(self._numbers),
            attempt=self._attempt,
            reads=reads,
            fingerprint=self._plan.fingerprint,
            guard=self._guard(watched, suspects),
            audit=self._audit(reads),
        )
        try:
            with self._stop.draining():
                self._work(job.spec, segment, job.facts, job.exits, job.generation)
        except SegmentFailed:
            # Whoever stops a job may end its processes at the same time.
            if not self._stop.cause:
                raise

    def _guard(self, watched: bool, suspects: Suspects) -> Guard:
        return Guard(
            output=self._ledger.storage.url,
            attempt=self._attempt,
            stuck_s=self._job.spec.failures.stuck_s,
            watched=watched,
            suspects=suspects,
        )


def _with_threads(job: PreparedJob, cores: int) -> PreparedJob:
    """Give actors on a CPU the machine's cores, which Ray would otherwise cut to its scheduling token."""
    spec = job.spec
    if spec.engine.threads:
        return job
    threads = torch_threads(cores, spec.actors.max or spec.actors.min)
    return replace(job, spec=spec.model_copy(update={"engine": spec.engine.model_copy(update={"threads": threads})}))
