"""From a job spec to a plan: validates everything that can be known before the first row. No torch, no ray."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from mue_model.config import ExitConfig, GenerationConfig
from mue_model.model_folder import ModelFacts
from mue_model.model_names import model_facts
from mue_model.processor import PROMPTS
from mue_model.prompts import ENTAILMENT_ANSWERS, TEMPLATES
from pipeline.fingerprint import fingerprint_of, fingerprint_parts
from pipeline.plan import Plan, plan_shards
from pipeline.row_totals import RowCount, count_rows
from pipeline.shard_urls import expand_urls
from pipeline.side_car import SideCars
from pipeline.spec import JobSpec

COUNTED_SHARDS = 64
"""Up to this many tars are counted by their headers when planning; of more, only what side-cars say is known before
the shards' ends are read."""


@dataclass(frozen=True, kw_only=True)
class PreparedJob:
    """A job that may start."""

    spec: JobSpec
    plan: Plan
    facts: ModelFacts
    exits: ExitConfig
    generation: GenerationConfig


def prepare(
    spec: JobSpec, *, count_all: bool = False, on_counted: Callable[[int, int], None] = lambda done, total: None
) -> PreparedJob:
    """Resolve shards, model and exits of `spec` into a plan.

    Args:
        spec: The job.
        count_all: Count the rows of however many tars there are, where that needs no reading.
        on_counted: Is told after each shard how many were looked at, and how many there are.

    Raises:
        PlanError: A shard is missing or named twice.
        ModelFolderError: The model cannot be used.
        ConfigError: The exits or the longest text do not fit the model, or the engine cannot decode so.
    """
    facts = model_facts(spec.model)
    exits = facts.exits(spec.exits, spec.task)
    generation = spec.generation.resolved(facts.generation)
    generation.check_fits(facts.config)
    spec.engine.check_fits(exits, generation)
    fields, urls = spec.inputs.fields, expand_urls(spec.inputs.urls)
    headers = count_all or len(urls) <= COUNTED_SHARDS
    looked_at, side_cars = itertools.count(1), SideCars()

    def count(url: str) -> RowCount | None:
        found = count_rows(url, fields, headers=headers, side_cars=side_cars)
        on_counted(next(looked_at), len(urls))
        return found

    shards = plan_shards(urls, suffixes=fields.image_suffixes, count_rows=count)
    parts = fingerprint_parts(
        shards=shards,
        model_digest=facts.digest,
        model_config=facts.config,
        untrained=facts.untrained,
        task=spec.task,
        prompt=PROMPTS[spec.task] if spec.inputs.fields.asked(spec.task) is None else TEMPLATES[spec.task],
        answers=ENTAILMENT_ANSWERS if spec.task == "entailment" else {},
        fields=spec.inputs.fields,
        limits={
            "max_member_mib": spec.inputs.max_member_mib,
            "max_pixels": spec.inputs.max_pixels,
            "max_queries": spec.inputs.max_queries,
        },
        exits=exits,
        generation=generation,
        filters=spec.filters,
        image_size=facts.processor.image_size,
        dtype=spec.engine.dtype,
    )
    plan = Plan(
        shards=shards,
        fingerprint=fingerprint_of(parts),
        fingerprint_parts=parts,
        audit_seed=spec.audit.seed,
        audit_rates=spec.audit.rates_by_stratum(),
        audit_margin=spec.audit.margin,
        audit_windows=spec.audit.windows,
        fields=spec.inputs.fields,
    )
    return PreparedJob(spec=spec, plan=plan, facts=facts, exits=exits, generation=generation)
