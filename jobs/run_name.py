"""A job's name on a cluster: told from its output folder, so that the same job has the same name everywhere."""

from __future__ import annotations

import hashlib
import re

from mue_model.config import ConfigError

LONGEST = 40
"""Room is left for an attempt's number behind it: Kubernetes takes 47 characters for a job."""
NAME = r"[a-z]([a-z0-9-]*[a-z0-9])?"


def run_name(output: str) -> str:
    """Return the last part of the folder's name, as far as names go, and six digits that tell folders apart."""
    last = output.rstrip("/").rpartition("/")[2].lower()
    word = re.sub(r"[^a-z0-9]+", "-", last).strip("-")[: LONGEST - 7].strip("-")
    word = word if word[:1].isalpha() else f"run-{word}"[: LONGEST - 7].strip("-")
    return f"{word}-{hashlib.sha256(output.rstrip('/').encode()).hexdigest()[:6]}"


def checked_run_name(name: str) -> str:
    """Return a name that a user gave, or raise `ConfigError`."""
    if len(name) > LONGEST or not re.fullmatch(NAME, name):
        raise ConfigError(
            f"--run {name!r}: expected at most {LONGEST} lower-case letters, digits and hyphens, a letter first"
        )
    return name
