"""What `mue submit` needs of a cluster's job server. Ray's is `ray_jobs`; the fake that ships is `fake_jobs`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pipeline.errors import PipelineError

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Environment variables by which a user names a cluster."""

OUTPUT_LABEL = "mue_output"
"""Metadata of a job on its cluster: the folder it writes to. Every `mue submit` there ever was has set it."""

JobPhase = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]


class ClusterError(PipelineError):
    """The cluster cannot be reached, or refuses. The message says what to do."""


class ClusterSilent(ClusterError):
    """The cluster does not answer: it may be gone, or out of reach for a moment."""


class ClusterRefused(ClusterError):
    """The cluster says that it did not do what it was asked: nothing has begun there."""


class SubmissionTaken(ClusterRefused):
    """A job with this submission id was there before; ids are never used twice."""


class SubmissionUnknown(ClusterRefused):
    """The cluster knows no such job: it is another cluster, or one that was started anew."""


@dataclass(frozen=True, kw_only=True)
class ClusterJob:
    """A submitted job as its cluster sees it."""

    phase: JobPhase
    exit_code: int | None = None
    """Of the driver; None while it runs, and where nobody saw it end."""
    message: str = ""
    output: str | None = None
    """The folder it writes to, by the metadata it was submitted with; None where there is none."""

    @property
    def over(self) -> bool:
        """Whether the driver has ended."""
        return self.phase in ("STOPPED", "SUCCEEDED", "FAILED")


class JobsClient(Protocol):
    """A job server. Every method may raise `ClusterSilent`."""

    @property
    def address(self) -> str:
        """Where it was found; without secrets."""
        ...

    def submit(self, *, submission_id: str, entrypoint: str, folder: Path, metadata: Mapping[str, str]) -> None:
        """Run `entrypoint` in a copy of `folder`.

        Raises:
            SubmissionTaken: The id was used before.
            ClusterRefused: It does not run, for another reason.
            ClusterError: It may run.
        """
        ...

    def job(self, submission_id: str) -> ClusterJob:
        """Return how the job stands, or raise `SubmissionUnknown`."""
        ...

    def logs(self, submission_id: str) -> str:
        """Return what its driver has written so far."""
        ...

    def follow(self, submission_id: str) -> Iterator[str]:
        """Yield what its driver writes until it ends."""
        ...

    def stop(self, submission_id: str) -> bool:
        """End the driver, in seconds; return whether it ran."""
        ...

    def node_addresses(self) -> frozenset[str]:
        """Return the IP addresses of the cluster's living nodes; none where it does not tell."""
        ...
