"""What is verified: an output folder with its plan, manifest and receipts read once, and how far they could be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from jobs.job_folder import run_facts
from mue_model.config import ConfigError
from pipeline.errors import PipelineError
from pipeline.ledger import MANIFEST, PLAN, Ledger
from pipeline.manifest import Manifest
from pipeline.plan import Plan
from pipeline.receipts import Receipt

ReadT = TypeVar("ReadT")


@dataclass(frozen=True, kw_only=True)
class Folder:
    """The documents of one output folder. What could not be read is None, and `problems` says why."""

    ledger: Ledger
    plan: Plan | None
    manifest: Manifest | None
    receipts: tuple[Receipt, ...] | None
    attempts: tuple[dict[str, Any], ...]
    """What run.json says of each attempt."""
    problems: dict[str, str]
    """By the name of the document."""

    @property
    def url(self) -> str:
        """Where it is."""
        return self.ledger.storage.url


def read_folder(ledger: Ledger) -> Folder:
    """Read the documents of an output folder; raises nothing because of what they hold."""
    problems: dict[str, str] = {}

    def read(name: str, work: Callable[[], ReadT]) -> ReadT | None:
        try:
            return work()
        except (PipelineError, ConfigError, OSError) as error:
            problems[name] = str(error)
            return None

    manifest = read(MANIFEST, ledger.manifest)
    if manifest is None:
        problems.setdefault(MANIFEST, f"{ledger.storage.url}/{MANIFEST} does not exist: the job was never finished")
    receipts = read("done", ledger.receipts)
    facts = read("run.json", lambda: run_facts(ledger)) or {}
    return Folder(
        ledger=ledger,
        plan=read(PLAN, ledger.plan),
        manifest=manifest,
        receipts=None if receipts is None else tuple(receipts),
        attempts=tuple(facts.get("attempts", [])),
        problems=problems,
    )
