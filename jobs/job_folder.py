"""An output folder as a reader sees it: its ledger, its totals, the model it names, the facts of its last run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mue_model.config import ConfigError
from mue_model.model_names import DEMO_NAME, demo_digest
from mue_model.seeded import SEEDED_NAME
from pipeline.ledger import PLAN, Ledger
from pipeline.plan import Plan
from pipeline.progress import Progress
from pipeline.receipts import LedgerError
from pipeline.storage import FileAbsent, Storage

RUN = "run.json"


def open_job(url: str) -> Ledger:
    """Return the ledger of the job in the folder `url`, or raise `ConfigError` if there is no job."""
    storage = Storage.open(url)
    if not storage.exists(PLAN):
        raise ConfigError(f"{url}: no job here (there is no {PLAN}); give the folder that 'mue run --output' named")
    return Ledger(storage)


@dataclass(frozen=True, kw_only=True)
class RowTotal:
    """Rows that a job will have."""

    rows: int | None
    """None while nothing is known."""
    estimated: bool
    """Some shards are not counted yet: their share is estimated from their bytes, or a side-car's word."""


def row_total(plan: Plan, progress: Progress) -> RowTotal:
    """Return the job's rows: images counted where a shard's end was reached or planned, else estimated by bytes.

    A side-car's word counts as an estimate until the shard's end is reached. Where an image may have several queries,
    those still to come are taken to have as many as those that are committed.
    """
    images = _image_total(plan, progress)
    if images.rows is None or not _asks_several(plan):
        return images
    if images.rows and not progress.images_committed:
        return RowTotal(rows=None, estimated=True)
    is_over = images.rows == progress.images_committed and not images.estimated
    return RowTotal(rows=round(images.rows * progress.rows_per_image), estimated=not is_over)


def planned_task(plan: Plan) -> str:
    """Return what the job asks of each image."""
    return str(plan.fingerprint_parts.get("task", "caption"))


def _asks_several(plan: Plan) -> bool:
    """Whether an image may have several rows."""
    field = plan.fields.asked(planned_task(plan))
    return field is not None and field.several


def _image_total(plan: Plan, progress: Progress) -> RowTotal:
    counted = counted_bytes = uncounted_bytes = 0
    certain = True
    for shard in plan.shards:
        total = progress.of(shard.shard_id).total
        rows = shard.rows if total is None else total
        if rows is None:
            uncounted_bytes += shard.size
        else:
            counted += rows
            counted_bytes += shard.size
            certain = certain and (total is not None or shard.rows_from != "side-car")
    if not uncounted_bytes:
        return RowTotal(rows=counted if certain else max(counted, progress.rows_committed), estimated=not certain)
    if not counted or not counted_bytes:
        return RowTotal(rows=None, estimated=True)
    estimate = counted + round(uncounted_bytes * counted / counted_bytes)
    return RowTotal(rows=max(estimate, progress.images_committed), estimated=True)


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """What a plan says about its model."""

    name: str
    """`seeded`, `demo`, or the beginning of the digest: a plan does not record where the model lay."""
    untrained: bool
    """Seeded weights: the texts mean nothing."""
    encoder_layers: int | None
    decoder_layers: int | None

    @property
    def caveat(self) -> str | None:
        """What a reader of its texts must know, as in "model 'demo' ..."; None where nothing is known against them."""
        if self.untrained:
            return f"model '{self.name}' is untrained: texts mean nothing"
        if self.name == DEMO_NAME:
            return f"model '{self.name}' knows drawn scenes alone: of other pictures its texts are wrong"
        return None


def planned_model(plan: Plan) -> PlannedModel:
    """Return what the fingerprint was made of, as far as it concerns the model."""
    model: dict[str, Any] = plan.fingerprint_parts.get("model") or {}
    config: dict[str, Any] = model.get("config") or {}
    untrained = bool(model.get("untrained", False))
    digest = str(model.get("digest"))
    shipped = DEMO_NAME if digest == demo_digest() else f"digest {digest[:16]}"
    return PlannedModel(
        name=SEEDED_NAME if untrained else shipped,
        untrained=untrained,
        encoder_layers=config.get("encoder_layers"),
        decoder_layers=config.get("decoder_layers"),
    )


def run_facts(ledger: Ledger) -> dict[str, Any]:
    """Return what the last run wrote about itself into `run.json`; empty before its end."""
    try:
        data = ledger.storage.read(RUN)
    except FileAbsent:
        return {}
    try:
        facts = json.loads(data)
    except ValueError as error:
        raise LedgerError(f"{ledger.storage.url}/{RUN} is not JSON ({error}); delete it to go on without") from error
    attempts = facts.get("attempts", []) if isinstance(facts, dict) else None
    if not isinstance(attempts, list) or not all(isinstance(attempt, dict) for attempt in attempts):
        raise LedgerError(f"{ledger.storage.url}/{RUN} is not what a run writes; delete it to go on without")
    return facts
