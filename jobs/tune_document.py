"""A calibration as a document, and as presets of a model folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from jobs.tune import Tuning
from jobs.tune_certificate import FULL, LOSS
from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError, ExitConfig
from mue_model.model_folder import EXITS_FILE, ModelFacts, presets_document, read_json, read_presets
from mue_model.tuning.choice import Measured, TaskFigures, above_constant
from pipeline.canonical_json import canonical_json

SCHEMA_VERSION = 1
TUNE_FILE = "tune.json"
QUALITY = "share of rows that are right: captions equal to a reference word for word, labels"


def tune_document(found: Tuning, settings: TuneSettings, facts: ModelFacts) -> dict[str, Any]:
    """Return everything that was found; all but `times` is the same whenever the same settings run again."""
    return {
        "schema_version": SCHEMA_VERSION,
        "model_digest": facts.digest,
        "data": {
            "digest": found.asked.digest,
            "images": len(found.asked.images),
            "images_screened": len(found.asked.screened),
            "rows": {task: len(own) for task, own in found.asked.by_task.items()},
            "rows_screened": dict(found.screened_rows),
            "skipped": found.asked.skipped,
        },
        "settings": settings.model_dump(mode="json", exclude={"shards"}),
        "quality": QUALITY,
        "points_screened": found.proposals.screened,
        "points": [_point(point, found) for point in found.points],
        "presets": {name: None if point is None else point.name for name, point in found.chosen.items()},
        "certificate": _certificate(found, settings),
        "times": {point.name: {task: _time(own) for task, own in point.tasks.items()} for point in found.points},
    }


def write_presets(
    found: Tuning, settings: TuneSettings, facts: ModelFacts, document: dict[str, Any], *, default: str | None
) -> list[str]:
    """Put the chosen presets, and `exact`, into the model's exits.json; return the names of those that changed.

    Other presets stay. The model's digest does not change: exits are no part of it.

    Raises:
        ConfigError: The model has no folder, or would have no preset called `default`.
    """
    if facts.folder is None:
        raise ConfigError(
            f"model '{facts.name}' is computed, not read from a folder: there is nowhere to write presets"
        )
    path = facts.folder / EXITS_FILE
    presets = read_presets(path)
    alias = presets.pop("default")
    before = read_json(path)["default"] if path.is_file() else "exact"
    if before == "default":
        presets["default"] = alias
    new = {"exact": ExitConfig()} | {name: point.exits for name, point in found.chosen.items() if point is not None}
    after = {**presets, **new}
    if (chosen := default or before) not in after:
        raise ConfigError(f"--default '{chosen}': the model has the presets {', '.join(sorted(after))}")
    lasting = {key: value for key, value in document.items() if key != "times"}
    calibration = {
        "model_digest": facts.digest,
        "data_digest": found.asked.digest,
        "seed": settings.seed,
        "rows": lasting["data"]["rows"],
        "document_sha256": hashlib.sha256(canonical_json(lasting)).hexdigest(),
        "presets": {name: _summary(point) for name, point in found.chosen.items() if point is not None},
        "certificate": None
        if found.verdicts is None
        else {"alpha": settings.certify, "delta": settings.delta, "loss": LOSS},
    }
    content = json.dumps(presets_document(after, chosen, calibration), indent=2, sort_keys=True) + "\n"
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content, "utf-8")
    partial.replace(path)
    return sorted(name for name, exits in new.items() if presets.get(name) != exits)


def write_document(document: dict[str, Any], folder: Path) -> Path:
    """Write `TUNE_FILE` into `folder`."""
    path = folder / TUNE_FILE
    path.write_bytes(canonical_json(document, indent=1))
    return path


def _point(point: Measured, found: Tuning) -> dict[str, Any]:
    screened = found.by_proposal.get(point.name)
    verdicts = {verdict.name: verdict.certified for verdict in found.verdicts or ()}
    return {
        "name": point.name,
        "exits": point.exits.model_dump(mode="json"),
        "screened": None
        if screened is None
        else {"kept": screened.quality, "flops_with_checks_share": screened.flops_share},
        "kept": point.kept,
        "flops_with_checks_share": point.spent_share,
        "certified": verdicts.get(point.name),
        "tasks": {task: _figures(own, point, found, task) for task, own in point.tasks.items()},
    }


def _figures(own: TaskFigures, point: Measured, found: Tuning, task: str) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "rows": own.rows,
        "quality": own.quality,
        "kept": own.kept,
        "mean_layers": dict(own.layers),
        "paper_layer_metric": own.paper_layer_metric,
        "flops_executed": own.flops_executed,
        "flops_checks": own.flops_checks,
        "flops_full_same_length": own.flops_full_same_length,
        "quality_above_constant_depth": None
        if point.name not in found.by_proposal
        else above_constant(point, found.constants, task),
    }
    if task == "caption":
        figures["cider_d"] = found.cider_d[point.name]
    return figures


def _time(own: TaskFigures) -> dict[str, float]:
    return {"seconds": own.seconds, "share": own.time_share}


def _summary(point: Measured) -> dict[str, Any]:
    return {"point": point.name, "kept": point.kept, "flops_with_checks_share": point.spent_share}


def _certificate(found: Tuning, settings: TuneSettings) -> dict[str, Any] | None:
    if found.verdicts is None:
        return None
    return {
        "alpha": settings.certify,
        "delta": settings.delta,
        "loss": LOSS,
        "images_that_test": len(found.asked.images - found.asked.screened),
        "excluded": FULL,
        "path": [
            {"point": verdict.name, "p_value": verdict.p_value, "risk": verdict.risk, "certified": verdict.certified}
            for verdict in found.verdicts
        ],
    }
