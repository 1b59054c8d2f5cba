"""`mue submit` and `mue resume`: a job handed over to a cluster, checked before anything leaves this machine."""

from __future__ import annotations

import shlex
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from jobs.code_package import JOB_FILE, write_package
from jobs.commit_times import commit_times
from jobs.job_state import state_of
from jobs.jobs_client import OUTPUT_LABEL, ClusterError, ClusterRefused, JobsClient, SubmissionTaken
from jobs.lasting_paths import with_lasting_paths
from jobs.planning import prepare
from jobs.reachable import local_paths, named
from jobs.retry import spec_of
from jobs.run_name import checked_run_name, run_name
from jobs.submissions import Submission, claim_submission, submissions
from jobs.trusted_clusters import trust_cluster
from mue_model.config import ConfigError, parse_config
from pipeline.lease import LeaseHeld
from pipeline.ledger import PLAN, Ledger
from pipeline.spec import JobSpec
from pipeline.storage import Storage

ENTRYPOINT = ("python", "-m", "jobs.cli", "--log-format", "json", "run", "-c", JOB_FILE)
"""What the cluster runs, in the folder that goes along."""

_ASKED_AGAIN = 10
_NUMBERS = 20
"""Numbers tried of a name that is the folder's own: a cluster may have had jobs of it that nobody recorded."""


@dataclass(frozen=True, kw_only=True)
class SubmitOptions:
    """How a job is handed over."""

    run: str | None = None
    """Its name on the cluster; None: told from the output folder."""
    shared_paths: bool = False
    """Paths mean the same on every node."""
    check: bool = True
    """Look up shards, model and exits before anything is sent."""


def submit_job(spec: JobSpec, client: JobsClient, options: SubmitOptions) -> Submission:
    """Hand the job over; returns at once. The same call later resumes, under the next number.

    What the cluster may have taken stays recorded, whatever became of the answer.

    Raises:
        ConfigError: The cluster could not open a path of the job, or what `mue run` would refuse.
        LeaseHeld: A driver works on the output folder.
        SubmissionTaken: Another job on the cluster has the name that was given, which is new to the folder.
        ClusterError: The cluster refused the job, or did not say that it took it.
    """
    run = checked_run_name(options.run) if options.run else run_name(spec.output.url)
    _check_paths(spec, client, shared=options.shared_paths)
    spec = with_lasting_paths(spec)
    ledger = Ledger(Storage.open(spec.output.url))
    _check_free(ledger)
    if options.check:
        # Also written, so that a status can be told from now on; the run adopts it.
        ledger.adopt_plan(prepare(spec).plan)
    with tempfile.TemporaryDirectory(prefix="mue-submit-") as name:
        write_package(Path(name), spec)
        trust_cluster(client.address)
        ours = options.run is None or any(known.run == run for known in submissions(ledger.storage))
        return _hand_over(ledger.storage, spec, client, Path(name), run=run, numbers=_NUMBERS if ours else 1)


def resume_spec(storage: Storage) -> JobSpec:
    """Return the settings of the job's last submission, else those of its last attempt, writing where it is now."""
    known = submissions(storage)
    if not known:
        return spec_of(Ledger(storage))
    spec = parse_config(JobSpec, known[-1].spec, where=f"{storage.url}/{known[-1].path}")
    return spec.model_copy(update={"output": spec.output.model_copy(update={"url": storage.url})})


def is_this_machine(client: JobsClient, *, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Return whether all nodes of the cluster are this machine, told by the nodes: a URL may be a tunnel's end."""
    for _ in range(_ASKED_AGAIN):
        if nodes := client.node_addresses():
            return nodes <= _own_addresses()
        sleep(1.0)  # a cluster that has just started knows of none yet
    return False


def _hand_over(
    storage: Storage, spec: JobSpec, client: JobsClient, folder: Path, *, run: str, numbers: int
) -> Submission:
    """Submit under a number of our own; of those that the cluster has had, at most so many are passed over."""
    settings = spec.model_dump(mode="json")
    found = claim_submission(storage, run=run, address=client.address, spec=settings)
    while True:
        numbers -= 1
        try:
            client.submit(
                submission_id=found.id,
                entrypoint=shlex.join(ENTRYPOINT),
                folder=folder,
                metadata={OUTPUT_LABEL: spec.output.url, "mue_run": run},
            )
        except SubmissionTaken:
            # Claimed before the other is given up: else it would be the same number again.
            following = claim_submission(storage, run=run, address=client.address, spec=settings) if numbers else None
            storage.delete(found.path)
            if following is None:
                raise
            found = following
        except ClusterRefused:
            storage.delete(found.path)
            raise
        except ClusterError as error:
            raise type(error)(
                f"{error}; it may have taken {found.id} all the same: 'mue status {storage.url}' shows whether it runs"
            ) from error
        else:
            return found


def _own_addresses() -> set[str]:
    families = (socket.AF_INET, socket.AF_INET6)
    return {
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in families
    }


def _check_paths(spec: JobSpec, client: JobsClient, *, shared: bool) -> None:
    paths = local_paths(spec)
    if paths and not shared and not is_this_machine(client):
        has = "has others" if client.node_addresses() else "names no node that lives, which may be another"
        raise ConfigError(
            f"{named(paths)}: a path on this machine, and the cluster at {client.address} {has}; its nodes would "
            "read another file or none, and what they write would be lost with them. Give URLs, as in s3://bucket/run; "
            "or add --shared-paths if every node sees the same file system here"
        )


def _check_free(ledger: Ledger) -> None:
    if not ledger.storage.exists(PLAN):
        return
    state = state_of(ledger, ledger.plan(), ledger.progress(), commit_times(ledger).values())
    if state.state == "running":
        raise LeaseHeld(
            f"{ledger.storage.url} is being worked on by {state.driver}; wait for its end, or 'mue cancel' it"
        )
