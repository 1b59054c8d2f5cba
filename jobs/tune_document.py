"""A calibration as a document, and as presets of a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs.tune import Tuning
from jobs.tune_certificate import FULL, LOSS
from jobs.tune_earlier import SCHEMA_VERSION, EarlierPoint
from jobs.tune_questions import image_of
from jobs.tune_settings import TuneSettings
from mue_model.model_folder import ModelFacts
from mue_model.tuning.by import By
from mue_model.tuning.choice import Measured, TaskFigures, above_constant
from pipeline.canonical_json import canonical_json

TUNE_FILE = "tune.json"
_DETERMINISTIC: tuple[By, ...] = ("flops", "work")
QUALITY = "share of rows that are right: captions equal to a reference word for word, labels"


def tune_document(found: Tuning, settings: TuneSettings, facts: ModelFacts) -> dict[str, Any]:
    """Return everything that was found.

    All but `times` is the same whenever the same settings run again, unless they choose by time: then what was
    measured decides which points are run.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "model_digest": facts.digest,
        "data": {
            "digest": found.asked.digest,
            "image_digests": sorted(found.asked.image_digests),
            "images": {task: len(found.asked.images_of(task)) for task in found.asked.by_task},
            "images_screened": images_screened(found, settings),
            "rows": {task: len(own) for task, own in found.asked.by_task.items()},
            "rows_screened": dict(found.screened_rows),
            "skipped": found.asked.skipped,
        },
        "settings": settings.model_dump(mode="json", exclude=_not_stated(settings)),
        "points_of": points_of(found),
        "quality": QUALITY,
        "points_screened": found.proposals.screened,
        "points": [_point(point, found, settings) for point in found.points],
        "presets": {name: None if point is None else point.name for name, point in found.chosen.items()},
        "certificate": _certificate(found, settings),
        "times": {point.name: {task: _time(own) for task, own in point.tasks.items()} for point in found.points},
    }


def write_document(document: dict[str, Any], folder: Path) -> Path:
    """Write `TUNE_FILE` into `folder`."""
    path = folder / TUNE_FILE
    path.write_bytes(canonical_json(document, indent=1))
    return path


def images_screened(found: Tuning, settings: TuneSettings) -> dict[str, int]:
    """Return how many images of each task the screen rests on."""
    return {
        task: 0 if settings.points_of else len(set(map(image_of, found.asked.to_screen(task, settings.screen_rows))))
        for task in found.asked.by_task
    }


def images_that_test(found: Tuning) -> dict[str, int]:
    """Return how many images of each task had no say in the points."""
    return {task: len(found.asked.that_test(task)) for task in found.asked.by_task}


def points_of(found: Tuning) -> list[str]:
    """Return the digests of the documents that proposed the points; none where a screen did."""
    return sorted({own.document_sha256 for own in found.by_proposal.values() if isinstance(own, EarlierPoint)})


def _not_stated(settings: TuneSettings) -> set[str]:
    """Return the settings that are paths, and those of a screen where there was none."""
    return {"shards", "points_of"} | ({"decoder_signal", "screen_rows"} if settings.points_of else set())


def _point(point: Measured, found: Tuning, settings: TuneSettings) -> dict[str, Any]:
    proposed = found.by_proposal.get(point.name)
    earlier = proposed if isinstance(proposed, EarlierPoint) else None
    verdicts = {verdict.name: verdict.certified for verdict in found.verdicts or ()}
    return {
        "name": point.name,
        "exits": point.exits.model_dump(mode="json"),
        "screened": None if proposed is None or earlier else {"kept": proposed.quality, "cost": proposed.spent_share},
        "earlier": earlier
        and {"document_sha256": earlier.document_sha256, "point": earlier.name, "kept": earlier.quality},
        "kept": point.kept,
        "flops_with_checks_share": point.spent_share,
        "net_work_share": point.cost("work"),
        "certified": verdicts.get(point.name),
        "tasks": {task: _figures(own, point, found, settings, task) for task, own in point.tasks.items()},
    }


def _figures(own: TaskFigures, point: Measured, found: Tuning, settings: TuneSettings, task: str) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "rows": own.rows,
        "quality": own.quality,
        "kept": own.kept,
        "kept_within": own.kept_within,
        "mean_layers": dict(own.layers),
        "paper_layer_metric": own.paper_layer_metric,
        "flops_executed": own.flops_executed,
        "flops_checks": own.flops_checks,
        "flops_full_same_length": own.flops_full_same_length,
        "net_flops_executed": own.net.executed,
        "net_flops_checks": own.net.checks,
        "net_flops_full_same_length": own.net.full,
        "net_work_share": own.net.share,
        "quality_above_constant_depth": {
            by: None if point.name not in found.by_proposal else above_constant(point, found.constants, task, by)
            for by in _DETERMINISTIC
        },
    }
    if task == "caption":
        figures["cider_d"] = found.cider_d[point.name]
    return figures


def _time(own: TaskFigures) -> dict[str, float]:
    return {"seconds": own.seconds, "share": own.time_share}


def _certificate(found: Tuning, settings: TuneSettings) -> dict[str, Any] | None:
    if found.verdicts is None:
        return None
    return {
        "alpha": settings.certify,
        "delta": settings.delta,
        "loss": LOSS,
        "images_that_test": images_that_test(found),
        "excluded": FULL,
        "path": [
            {"point": verdict.name, "p_value": verdict.p_value, "risk": verdict.risk, "certified": verdict.certified}
            for verdict in found.verdicts
        ],
    }
