"""One Dataset of a job: a segment, or what is left of it, run with a guard and stopped where the job is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

from cluster.local import actor_threads
from jobs.planning import PreparedJob
from jobs.segment_audit import actor_audit
from jobs.stopping import JobStop
from mue_model.config import ExitConfig, GenerationConfig
from mue_model.model_folder import ModelFacts
from pipeline.actor_audit import ActorAudit
from pipeline.build import Segment, actor_gpus, run_segment
from pipeline.control import Scale, scale_of
from pipeline.guard import Guard
from pipeline.intents import Suspects
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.segment_failure import SegmentFailed
from pipeline.shard_read import ShardRead
from pipeline.spec import ActorsConfig, JobSpec

logger = logging.getLogger(__name__)

Work = Callable[[JobSpec, Segment, ModelFacts, ExitConfig, GenerationConfig], None]
OnScale = Callable[[Scale, int], None]
"""Told of a request for actors, and of the first segment that has them."""


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
        node_cpus: Sequence[int],
        work: Work = run_segment,
        audit: Callable[[list[ShardRead]], ActorAudit | None] | None = None,
        on_scale: OnScale = lambda scale, segment: None,
        gpus: Callable[[ActorsConfig], float] = actor_gpus,
    ) -> None:
        """Run nothing yet.

        Args:
            job: The job.
            plan: In force.
            ledger: Of its output.
            attempt: Whose reads they are.
            stop: What ends it.
            node_cpus: Of Ray's nodes.
            work: Done on each segment: as a rule its rows are committed.
            audit: Says what the processes of some reads are told; left out: what the plan says.
            on_scale: Told when other actors are asked for.
            gpus: Of one actor, by what the cluster has now.
        """
        self._job, self._node_cpus, self._on_scale = job, node_cpus, on_scale
        self._gpus, self._gpus_asked = gpus, 0.0
        self._scale: Scale | None = None
        self._plan, self._ledger, self._attempt, self._stop, self._work = plan, ledger, attempt, stop, work
        self._audit = audit
        self._numbers = count()

    def __call__(self, reads: list[ShardRead], watched: bool, suspects: Suspects) -> bool:
        """Run `reads` to their end or to the stop; return whether they were cut short to go on with other actors.

        Raises:
            SegmentFailed: Ray gave up, and not because the job was to stop.
        """
        if self._stop.cause:
            return False
        number = next(self._numbers)
        self._heed_scale(number)
        job = self._with_gpus(_with_threads(_with_actors(self._job, self._scale), self._node_cpus))
        segment = Segment(
            number=number,
            attempt=self._attempt,
            reads=reads,
            fingerprint=self._plan.fingerprint,
            guard=self._guard(watched, suspects),
            audit=self._audit_of(reads, job.spec.actors),
        )
        try:
            with self._stop.draining():
                self._work(job.spec, segment, job.facts, job.exits, job.generation)
        except SegmentFailed:
            # Whoever stops a job may end its processes at the same time.
            if not self._stop.cause:
                raise
        return not self._stop.cause and self._asked() != self._scale

    def _audit_of(self, reads: list[ShardRead], actors: ActorsConfig) -> ActorAudit | None:
        if self._audit is not None:
            return self._audit(reads)
        return actor_audit(self._plan, self._ledger.progress(), reads, actors)

    def _asked(self) -> Scale | None:
        return scale_of(self._ledger.storage, self._attempt) or self._scale

    def _heed_scale(self, segment: int) -> None:
        scale = self._asked()
        if scale is not None and scale != self._scale:
            logger.info("the job goes on with %d to %d actors", scale.min, scale.max)
            self._scale = scale
            self._on_scale(scale, segment)

    def _with_gpus(self, job: PreparedJob) -> PreparedJob:
        """Once on GPUs, always: where their nodes are gone, others are to come, and not CPUs to answer instead."""
        self._gpus_asked = self._gpus_asked or self._gpus(job.spec.actors)
        return _with_settings(job, num_gpus=self._gpus_asked)

    def _guard(self, watched: bool, suspects: Suspects) -> Guard:
        return Guard(
            output=self._ledger.storage.url,
            attempt=self._attempt,
            stuck_s=self._job.spec.failures.stuck_s,
            watched=watched,
            suspects=suspects,
            max_restarts=self._job.spec.actors.max_restarts,
            scale_id=self._scale.id if self._scale else None,
        )


def _with_actors(job: PreparedJob, scale: Scale | None) -> PreparedJob:
    if scale is None:
        return job
    return _with_settings(job, min=scale.min, max=scale.max)


def _with_settings(job: PreparedJob, **actors: float) -> PreparedJob:
    changed = job.spec.actors.model_copy(update=actors)
    return replace(job, spec=job.spec.model_copy(update={"actors": changed}))


def _with_threads(job: PreparedJob, node_cpus: Sequence[int]) -> PreparedJob:
    """Give actors on a CPU the nodes' cores, which Ray would otherwise cut to its scheduling token."""
    spec = job.spec
    if spec.engine.threads:
        return job
    threads = actor_threads(node_cpus, spec.actors.max or spec.actors.min)
    return replace(job, spec=spec.model_copy(update={"engine": spec.engine.model_copy(update={"threads": threads})}))
