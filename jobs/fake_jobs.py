"""`FakeJobs`: a job server without a cluster, for tests and for trying commands out. It runs nothing by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobs.jobs_client import OUTPUT_LABEL, ClusterJob, ClusterSilent, SubmissionTaken, SubmissionUnknown


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What was handed over."""

    entrypoint: str
    folder: Path
    """A copy: what the cluster would have."""
    metadata: dict[str, str]


@dataclass(kw_only=True)
class FakeJobs:
    """Keeps what is submitted; each look at a job takes the next of its `script`, the last one stays."""

    place: Path
    """Where copies of submitted folders go."""
    address: str = "http://127.0.0.1:8265"
    nodes: frozenset[str] = frozenset({"127.0.0.1"})
    silent: bool = False
    """Nothing answers any more."""
    script: list[ClusterJob] = field(default_factory=lambda: [ClusterJob(phase="PENDING")])
    on_submit: Callable[[Submitted], None] = lambda submitted: None
    """Stands for what the cluster does with a job."""
    submitted: dict[str, Submitted] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    text: str = ""

    def submit(self, *, submission_id: str, entrypoint: str, folder: Path, metadata: Mapping[str, str]) -> None:
        """Keep a copy of everything."""
        self._answer()
        if submission_id in self.submitted:
            raise SubmissionTaken(f"{self.address} has had a job {submission_id}; give another name with --run")
        copy = shutil.copytree(folder, self.place / submission_id)
        kept = Submitted(entrypoint=entrypoint, folder=Path(copy), metadata=dict(metadata))
        self.submitted[submission_id] = kept
        self.on_submit(kept)

    def job(self, submission_id: str) -> ClusterJob:
        """Return the next of the script, with what the job was submitted with."""
        self._known(submission_id)
        job = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return replace(job, output=self.submitted[submission_id].metadata.get(OUTPUT_LABEL))

    def logs(self, submission_id: str) -> str:
        """Return the text."""
        self._known(submission_id)
        return self.text

    def follow(self, submission_id: str) -> Iterator[str]:
        """Yield the text line by line."""
        yield from self.logs(submission_id).splitlines(keepends=True)

    def stop(self, submission_id: str) -> bool:
        """Note it; by its script the job runs or has ended."""
        self._known(submission_id)
        self.stopped.append(submission_id)
        return not self.script[0].over

    def node_addresses(self) -> frozenset[str]:
        """Return the nodes."""
        self._answer()
        return self.nodes

    def _known(self, submission_id: str) -> None:
        self._answer()
        if submission_id not in self.submitted:
            raise SubmissionUnknown(f"{self.address} knows no job {submission_id}")

    def _answer(self) -> None:
        if self.silent:
            raise ClusterSilent(f"no Ray answers at {self.address}; is it running, and its dashboard reachable?")
