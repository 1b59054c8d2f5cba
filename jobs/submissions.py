"""`submissions/` in an output folder: where a job was handed over, under which id, and with which settings."""

from __future__ import annotations

import datetime
import re
from typing import Any, Literal

from pydantic import Field

from jobs.run_name import LONGEST, NAME
from mue_model.config import Config, ConfigError, parse_config
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.storage import Storage

FOLDER = "submissions"
_FILE = re.compile(rf"{FOLDER}/(?P<number>\d+)\.json")


class Submission(Config):
    """`Submission` v1: one handing over of a job to a cluster."""

    schema_version: Literal[1] = 1
    run: str = Field(max_length=LONGEST, pattern=rf"^{NAME}$")
    """The job's name on clusters. Anything else could be a path into the job server, or no end of a message."""
    number: int = Field(ge=1, lt=10**9)
    """Counts up; a number is used once, whatever became of it."""
    address: str = Field(pattern=r"^https?://[A-Za-z0-9.:_~%/\[\]-]+$")
    """The job server's URL, without secrets. Of another scheme, Ray's client would import the module of that name."""
    at: str
    spec: dict[str, Any]
    """The job's settings."""

    @property
    def id(self) -> str:
        """The id under which the cluster knows it."""
        return f"{self.run}-{self.number}"

    @property
    def path(self) -> str:
        """Where the record lies in the output folder."""
        return f"{FOLDER}/{self.number:04d}.json"


def claim_submission(storage: Storage, *, run: str, address: str, spec: dict[str, Any]) -> Submission:
    """Return a new submission, recorded under a number that nobody else has or had."""
    number = max((known.number for known in submissions(storage)), default=0)
    while True:
        number += 1
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        facts = {"run": run, "number": number, "address": address, "at": at, "spec": spec}
        found = parse_config(Submission, facts, where="a submission")
        if storage.create(found.path, canonical_json(found.model_dump(mode="json"), indent=1)):
            return found


def submissions(storage: Storage) -> list[Submission]:
    """Return all submissions of the job, the last one last; raise `ConfigError` where a record is none of ours."""
    paths = [path for path in storage.list(FOLDER) if _FILE.fullmatch(path)]
    return sorted((_read(storage, path) for path in paths), key=lambda submission: submission.number)


def last_submission(storage: Storage, number: int | None = None) -> Submission:
    """Return the last submission, or the one of that number; raise `ConfigError` where there is none."""
    found = [known for known in submissions(storage) if number in (None, known.number)]
    if not found:
        which = "was never submitted" if number is None else f"has no submission {number}"
        raise ConfigError(f"{storage.url}: this job {which}; 'mue submit' hands a job over to a cluster")
    return found[-1]


def _read(storage: Storage, path: str) -> Submission:
    found = parse_json(Submission, storage.read(path), where=f"{storage.url}/{path}")
    if found.path != path:
        raise ConfigError(
            f"{storage.url}/{path}: number = {found.number}: a record's number is that of its file, so this one was "
            "put there; delete it"
        )
    return found
