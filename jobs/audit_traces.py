"""An audit that does not end well leaves no file: the manifest would not know it, and `mue verify` would find it."""

from __future__ import annotations

import logging

from jobs.audit_record import FOLDER
from pipeline import metrics_file
from pipeline.storage import Storage, StorageError

logger = logging.getLogger(__name__)


def delete_traces(storage: Storage, attempt: str) -> None:
    """Delete what the audit `attempt` and its processes wrote; where storage refuses, say what is left."""
    try:
        for start in (f"{FOLDER}/{attempt}.", f"{metrics_file.FOLDER}/{attempt}-"):
            for path in storage.list(start.split("/")[0]):
                if path.startswith(start):
                    storage.delete(path)
    except StorageError as error:
        logger.warning(
            "what the audit %s left could not be deleted (%s): delete its files in audit/ and metrics/", attempt, error
        )
