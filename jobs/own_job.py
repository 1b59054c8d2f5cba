"""Whether a job of a cluster is that of an output folder: the folder's record of it may be anybody's.

Whoever can write the folder can name any job there, and a user's token would then read or end another's job.
"""

from __future__ import annotations

import os

from jobs.jobs_client import JobsClient
from jobs.submissions import Submission
from mue_model.brief import brief
from mue_model.config import ConfigError
from pipeline.storage import Storage


def check_own_job(client: JobsClient, submission: Submission, storage: Storage) -> None:
    """Return if the cluster says that the job writes to this folder.

    Raises:
        ConfigError: It writes to another one, or `mue` did not submit it.
        ClusterError: The cluster does not say, or knows no such job.
    """
    output = client.job(submission.id).output
    if output is not None and same_folder(output, storage.url):
        return
    what = "was not submitted by mue" if output is None else f"writes to {brief(output)}, not here"
    raise ConfigError(
        f"{storage.url}/{submission.path} names the job {submission.id} at {client.address}, which {what}: whoever "
        "can write the output folder can write that, and the job is left alone. Delete the record if it is wrong; if "
        f"the folder was moved since, ask the cluster itself, as in: ray job logs {submission.id}"
    )


def same_folder(one: str, other: str) -> bool:
    """Return whether two URLs name one folder, as far as that can be told: links and a final slash do not matter."""
    one, other = _plain(one), _plain(other)
    if one == other:
        return True
    if "://" in one or "://" in other or not (os.path.isabs(one) and os.path.isabs(other)):
        return False
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # of another machine, perhaps
        return False


def _plain(url: str) -> str:
    url = url.removeprefix("file://")
    scheme, separator, rest = url.partition("://")
    scheme = {"s3a": "s3", "gcs": "gs"}.get(scheme, scheme)
    return (scheme + separator + rest).rstrip("/") or url
