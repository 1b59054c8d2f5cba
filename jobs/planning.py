"""From a job spec to a plan: validates everything that can be known before the first row. No torch, no ray."""

from __future__ import annotations

from dataclasses import dataclass

from mue_model.config import ExitConfig, GenerationConfig
from mue_model.model_folder import ModelFacts
from mue_model.model_names import model_facts
from mue_model.processor import PROMPTS
from mue_model.prompts import ENTAILMENT_ANSWERS, TEMPLATES
from pipeline.fingerprint import fingerprint_of, fingerprint_parts
from pipeline.plan import Plan, plan_shards
from pipeline.shard_rows import count_rows
from pipeline.shard_urls import expand_urls
from pipeline.spec import JobSpec

COUNTED_SHARDS = 64
"""Up to this many shards are counted when planning; beyond, totals come from the shards' ends as they are read."""


@dataclass(frozen=True, kw_only=True)
class PreparedJob:
    """A job that may start."""

    spec: JobSpec
    plan: Plan
    facts: ModelFacts
    exits: ExitConfig
    generation: GenerationConfig


def prepare(spec: JobSpec) -> PreparedJob:
    """Resolve shards, model and exits of `spec` into a plan.

    Raises:
        PlanError: A shard is missing or named twice.
        ModelFolderError: The model cannot be used.
        ConfigError: The exits or the longest text do not fit the model, or the engine cannot decode so.
    """
    facts = model_facts(spec.model)
    exits = facts.exits(spec.exits)
    generation = spec.generation.resolved(facts.generation)
    generation.check_fits(facts.config)
    spec.engine.check_fits(exits, generation)
    urls = expand_urls(spec.inputs.urls)
    shards = plan_shards(urls, count_rows=count_rows if len(urls) <= COUNTED_SHARDS else None)
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
        audit_rates={"all": float(spec.audit.rate)},
        fields=spec.inputs.fields,
    )
    return PreparedJob(spec=spec, plan=plan, facts=facts, exits=exits, generation=generation)
