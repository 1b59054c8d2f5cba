"""Points that earlier calibrations of the same model found, to be run on images that had no say in them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError, ExitConfig
from mue_model.model_folder import ModelFacts
from mue_model.tuning.proposals import Proposal, Proposals, around
from pipeline.canonical_json import canonical_json

SCHEMA_VERSION = 6
"""Of tune.json, and of one that can be read: older ones do not name their images, so nobody can tell who had a say."""


@dataclass(frozen=True, kw_only=True)
class EarlierPoint(Proposal):
    """A point of an earlier calibration, with what it kept and cost there."""

    document_sha256: str
    """Of its tune.json, see `lasting_digest`."""
    name: str
    """What it was called there."""


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What an earlier calibration has to offer."""

    images: frozenset[str]
    """Digests of those that found the points, see `Asked.image_digests`."""
    points: tuple[EarlierPoint, ...]
    """All but full depth and the depths that are one for all stages, which always run."""


def lasting_digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a tune.json without its times, by which exits.json names it."""
    lasting = {key: value for key, value in document.items() if key != "times"}
    return hashlib.sha256(canonical_json(lasting)).hexdigest()


def read_earlier(settings: TuneSettings, facts: ModelFacts) -> dict[str, Earlier]:
    """Return the calibrations that the settings name, by path.

    Raises:
        ConfigError: One cannot be read, or is of another schema, model or tasks.
    """
    return {path: _read(path, settings, facts) for path in settings.points_of}


def _read(path: str, settings: TuneSettings, facts: ModelFacts) -> Earlier:
    where = f"--points-of {path}"
    try:
        document = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: no tune.json that can be read: {error}") from error
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise ConfigError(f"{where}: no tune.json of schema {SCHEMA_VERSION}; calibrate anew without --points-of")
    try:
        digest, tasks = document["model_digest"], sorted(document["data"]["rows"])
        images = frozenset(map(str, document["data"]["image_digests"]))
        found = Earlier(images=images, points=tuple(_points(document, settings)))
        if digest == facts.digest:
            for point in found.points:
                point.exits.per_layer(facts.config)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: not as `mue tune` wrote it: {error!r}; calibrate anew") from error
    if digest != facts.digest:
        raise ConfigError(f"{where}: calibrated for other weights than those of '{facts.name}' ({facts.digest[:12]})")
    if tasks != sorted(set(settings.tasks)):
        raise ConfigError(f"{where}: calibrated for {', '.join(tasks)}; give --tasks {','.join(tasks)}")
    return found


def earlier_points(settings: TuneSettings, calibrations: Mapping[str, Earlier], images: frozenset[str]) -> Proposals:
    """Return the best points of earlier calibrations, most of them where what is asked for is to be found.

    Cost is what any machine agrees on: `flops`, or `work` where settings choose by time.

    Args:
        settings: Name the qualities asked for and the most points.
        calibrations: As `read_earlier` returns them.
        images: Digests of those that are to test the points.

    Raises:
        ConfigError: An image that found the points is among them, or no point kept what is asked for.
    """
    for path, own in calibrations.items():
        if same := len(own.images & images):
            raise ConfigError(
                f"--points-of {path}: {same:,} of these {len(images):,} images, or exact copies, found its points; "
                "give others, which had no say in them"
            )
    found = [point for own in calibrations.values() for point in own.points]
    found.sort(key=lambda point: -point.quality)  # of exits that two calibrations ran, what kept less counts
    exits = list({point.exits: point for point in found if not _depths(point.name)}.values())
    steady = {_depths(point.name): point for point in found if len(_depths(point.name)) > 1}
    floor = 0.0 if settings.max_flops is not None else min(settings.fast_quality, settings.min_quality)
    aim = math.inf if settings.max_flops is not None else (1 + settings.min_quality) / 2
    front = [own for own in around(exits, floor, aim, settings.points) if own.quality >= floor]
    if not front:
        raise ConfigError(
            f"--points-of {', '.join(calibrations)}: no point kept {floor:.1%} there, so none is worth a run; ask for "
            "less (--fast-quality, --min-quality)"
        )
    chosen = around(list(steady.values()), floor, aim, settings.constants)
    return Proposals(
        front=tuple(sorted(front, key=lambda point: (point.spent_share, -point.quality))),
        constants={depths: point for depths, point in steady.items() if point in chosen},
        screened=len(exits),
    )


def _points(document: Mapping[str, Any], settings: TuneSettings) -> list[EarlierPoint]:
    digest, cost = lasting_digest(document), "flops_with_checks_share" if settings.by == "flops" else "net_work_share"
    return [
        EarlierPoint(
            exits=ExitConfig.model_validate(point["exits"]),
            quality=float(point["kept"]),
            spent_share=float(point[cost]),
            document_sha256=digest,
            name=point["name"],
        )
        for point in document["points"]
        if point["screened"] is not None or point.get("earlier") is not None or len(_depths(point["name"])) > 1
    ]


def _depths(name: str) -> tuple[int, ...]:
    """Return the depths in the name of a constant point, by stage; none for any other."""
    kind, _, depths = name.partition(" ")
    return tuple(map(int, depths.split("/"))) if kind == "constant" else ()
