"""A calibration's presets in the exits.json of its model, beside those that were there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from jobs.tune import Tuning
from jobs.tune_certificate import LOSS
from jobs.tune_earlier import lasting_digest
from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError, ExitConfig
from mue_model.model_folder import (
    EXITS_FILE,
    ModelFacts,
    presets_document,
    read_json,
    read_presets,
    read_task_presets,
)
from mue_model.tuning.choice import Measured

Presets = dict[str, ExitConfig]


WRITTEN = ("exact", "balanced", "fast")
"""All that a calibration may write."""


def refuse_unwritable(facts: ModelFacts, default: str | None) -> None:
    """Raise `ConfigError`, before anything is run, where presets could not be written or `default` never be one."""
    if facts.folder is None:
        raise ConfigError(
            f"model '{facts.name}' is computed, not read from a folder: there is nowhere to write presets"
        )
    try:
        with TemporaryFile(dir=facts.folder):
            pass
    except OSError as error:
        raise ConfigError(f"--write: presets of '{facts.name}' cannot be written: {error}") from error
    present, _ = _present(facts.folder / EXITS_FILE)
    if default is not None and default not in (names := sorted({*present, *WRITTEN})):
        raise ConfigError(f"--default '{default}': the model has, or would have, the presets {', '.join(names)}")


def write_presets(
    found: Tuning, settings: TuneSettings, facts: ModelFacts, document: dict[str, Any], *, default: str | None
) -> tuple[list[str], str]:
    """Put the chosen presets, and `exact`, into the model's exits.json.

    What was tuned for one task alone is that task's; where there was no preset of its name, other tasks run it at full
    depth. Other presets stay, and so does the default one where none called `default` was found. The model's digest
    does not change: exits are no part of it.

    Returns:
        The names of the presets that changed, and of the one that jobs now take by default.

    Raises:
        ConfigError: As `refuse_unwritable`.
    """
    refuse_unwritable(facts, default)
    assert facts.folder is not None
    path = facts.folder / EXITS_FILE
    presets, before = _present(path)
    task_presets = _without_default(read_task_presets(path))
    chosen = {name: point.exits for name, point in found.chosen.items() if point is not None}
    after, after_by_task = _joined(presets, task_presets, list(found.asked.by_task), chosen)
    name = default if default in after else before
    stated = {"model_digest": facts.digest, "tasks": _stated(_calibrations(path, facts), found, settings, document)}
    content = json.dumps(presets_document(after, name, stated, after_by_task), indent=2, sort_keys=True) + "\n"
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content, "utf-8")
    partial.replace(path)
    changed = {name for name in after if presets.get(name) != after[name]}
    changed |= {
        name for task, own in after_by_task.items() for name in own if task_presets.get(task, {}).get(name) != own[name]
    }
    return sorted(changed), name


def _present(path: Path) -> tuple[Presets, str]:
    """Return the presets there are, and the name of the default one."""
    presets = read_presets(path)
    alias = presets.pop("default")
    name = read_json(path)["default"] if path.is_file() else "exact"
    return presets | ({"default": alias} if name == "default" else {}), name


def _without_default(task_presets: Mapping[str, Mapping[str, ExitConfig]]) -> dict[str, Presets]:
    return {
        task: {name: exits for name, exits in own.items() if name != "default"} for task, own in task_presets.items()
    }


def _joined(
    presets: Presets, task_presets: dict[str, Presets], tasks: list[str], chosen: Presets
) -> tuple[Presets, dict[str, Presets]]:
    """Return all presets, and those of single tasks; what was chosen for several tasks is not overruled for one."""
    after = {**presets, "exact": ExitConfig()}
    if len(tasks) == 1:
        [task] = tasks
        return {**dict.fromkeys(chosen, ExitConfig()), **after}, {
            **task_presets,
            task: {**task_presets.get(task, {}), **chosen},
        }
    left = {
        task: {name: exits for name, exits in own.items() if task not in tasks or name not in chosen}
        for task, own in task_presets.items()
    }
    return {**after, **chosen}, left


def _calibrations(path: Path, facts: ModelFacts) -> dict[str, Any]:
    """Return where the presets of the same model come from so far, by tasks and name."""
    stated = read_json(path).get("calibration") if path.is_file() else None
    if not isinstance(stated, dict) or stated.get("model_digest") != facts.digest:
        return {}
    tasks = stated.get("tasks")
    return tasks if isinstance(tasks, dict) else {}


def _stated(before: dict[str, Any], found: Tuning, settings: TuneSettings, document: dict[str, Any]) -> dict[str, Any]:
    """Return where every preset that was ever tuned comes from: each has its own line, for others may have stayed."""
    tasks = list(found.asked.by_task)
    chosen = {name: point for name, point in found.chosen.items() if point is not None}
    overruled = set(chosen) if len(tasks) > 1 else set()
    left = {
        key: {name: own for name, own in presets.items() if key not in tasks or name not in overruled}
        for key, presets in before.items()
    }
    key, source = ",".join(tasks), _source(found, settings, document)
    after = {**left, key: {**left.get(key, {}), **{name: _summary(point) | source for name, point in chosen.items()}}}
    return {key: presets for key, presets in after.items() if presets}


def _source(found: Tuning, settings: TuneSettings, document: dict[str, Any]) -> dict[str, Any]:
    return {
        "data_digest": found.asked.digest,
        "rows": document["data"]["rows"],
        "settings": document["settings"],
        "points_of": document["points_of"],
        "document_sha256": lasting_digest(document),
        "certificate": None
        if found.verdicts is None
        else {"alpha": settings.certify, "delta": settings.delta, "loss": LOSS},
    }


def _summary(point: Measured) -> dict[str, Any]:
    return {
        "point": point.name,
        "kept": point.kept,
        "flops_with_checks_share": point.spent_share,
        "net_work_share": point.cost("work"),
    }
