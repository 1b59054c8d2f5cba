"""The model that a job was planned with, found again by its digest wherever it is now; weights are not read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.verify_folder import Folder
from mue_model.config import ConfigError, ExitConfig, GenerationConfig, ModelConfig, parse_config
from mue_model.model_folder import ModelFacts, ModelFolderError
from mue_model.model_names import DEMO_NAME, demo_digest, model_facts
from mue_model.seeded import SEEDED_NAME


class NoModel(ValueError):
    """The model that the plan names is not at hand. The message says which it is and how to give it."""


@dataclass(frozen=True, kw_only=True)
class JobModel:
    """A model together with the settings that the plan fixes for it."""

    facts: ModelFacts
    exits: ExitConfig
    generation: GenerationConfig
    task: str
    dtype: str
    prompt: str | None
    """What every image is asked; None where rows have texts of their own."""


def job_model(folder: Folder, given: str | None) -> JobModel:
    """Return the planned model.

    Args:
        folder: The output folder.
        given: Name or folder of the model; None: where the run had it, or the one that ships.

    Raises:
        NoModel: It is not there, or what is there has another digest.
        ConfigError: The plan's settings are none.
    """
    assert folder.plan is not None
    parts = folder.plan.fingerprint_parts
    where = f"{folder.url}/plan.json"
    planned: Any = parts.get("model")
    if not isinstance(planned, dict):
        raise ConfigError(f"{where}: fingerprint_parts.model is {planned!r}, not what a plan says of its model")
    config = parse_config(ModelConfig, planned.get("config"), where=f"{where}: model.config")
    digest = str(planned.get("digest"))
    facts = _facts(_candidates(folder, given, digest, untrained=bool(planned.get("untrained"))), digest, given)
    if facts.config != config:
        raise ConfigError(f"{where}: model.config is not that of the model with the digest {digest[:16]}")
    return JobModel(
        facts=facts,
        exits=parse_config(ExitConfig, parts.get("exits"), where=f"{where}: exits"),
        generation=parse_config(GenerationConfig, parts.get("generation"), where=f"{where}: generation"),
        task=str(parts.get("task")),
        dtype=str(parts.get("dtype")),
        prompt=str(parts.get("prompt")) if folder.plan.fields.asked(str(parts.get("task"))) is None else None,
    )


def _candidates(folder: Folder, given: str | None, digest: str, *, untrained: bool) -> list[str]:
    """Where to look, in order."""
    if given is not None:
        return [given]
    if untrained:
        return [SEEDED_NAME]
    if digest == demo_digest():
        return [DEMO_NAME]
    names = [str((attempt.get("spec") or {}).get("model")) for attempt in reversed(folder.attempts)]
    return [name for name in dict.fromkeys(names) if os.path.isabs(name) and Path(name).is_dir()]


def _facts(names: list[str], digest: str, given: str | None) -> ModelFacts:
    found = []
    for name in names:
        try:
            facts = model_facts(name)
        except ModelFolderError as error:
            if given is not None:
                raise NoModel(str(error)) from error
            continue
        if facts.digest == digest:
            return facts
        found.append(f"{name} has {facts.digest[:16]}")
    seen = f" ({'; '.join(found)})" if found else ""
    raise NoModel(f"the model with the digest {digest[:16]} is not at hand{seen}; give its folder with --model")
