"""The plan is what rows were made with: its fingerprint follows from its settings, and all else repeats it."""

from __future__ import annotations

from typing import Any

from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from pipeline.canonical_json import canonical_json, digest_of
from pipeline.fingerprint import explain_difference, fingerprint_of
from pipeline.ledger import MANIFEST, PLAN
from pipeline.plan import Plan
from pipeline.shadow_strata import STRATA
from pipeline.spec import JobSpec

_OF_SPEC = ("task", "filters")
"""Settings that a job's spec and its fingerprint hold in the same words."""
_ENVIRONMENT = ("python", "platform", "packages", "cores", "memory_gib")


def fingerprint(folder: Folder, tally: Tally) -> None:
    """The fingerprint is that of the settings in plan.json: thresholds, model, task, inputs and the rest."""
    assert folder.plan is not None
    assert folder.manifest is not None
    plan = folder.plan
    recomputed = fingerprint_of(plan.fingerprint_parts)
    tally.look()
    if recomputed != plan.fingerprint:
        tally.mismatch(
            f"{PLAN}: fingerprint",
            f"{recomputed}, which its settings give ({_settings(plan.fingerprint_parts)})",
            f"{plan.fingerprint}: a setting in {PLAN} was changed after the job was planned",
        )
    tally.expect(f"{MANIFEST}: fingerprint", plan.fingerprint, folder.manifest.fingerprint)
    shards = [[shard.shard_id, shard.url, shard.size, shard.etag] for shard in plan.shards]
    inputs = plan.fingerprint_parts.get("inputs", {})
    tally.expect(f"{PLAN}: inputs.digest", digest_of(canonical_json(shards)), inputs.get("digest"))
    tally.expect(f"{PLAN}: inputs.shards", len(shards), inputs.get("shards"))
    tally.expect(f"{PLAN}: inputs.bytes", sum(shard.size for shard in plan.shards), inputs.get("bytes"))


def settings(folder: Folder, tally: Tally) -> None:
    """What each attempt was told agrees with the plan: what changes rows, and what was to be audited."""
    assert folder.plan is not None
    parts = folder.plan.fingerprint_parts
    for attempt in folder.attempts:
        where = f"run.json: attempt {attempt.get('attempt')}"
        try:
            spec = JobSpec.model_validate(attempt.get("spec"))
        except ValueError as error:
            tally.mismatch(where, "the settings of a job", error)
            continue
        told: dict[str, Any] = {name: spec.model_dump(mode="json")[name] for name in _OF_SPEC}
        told["dtype"] = spec.engine.dtype
        planned = {name: parts.get(name) for name in told}
        if not isinstance(spec.exits, str):
            told["exits"], planned["exits"] = spec.exits.model_dump(mode="json"), parts.get("exits")
        generation = spec.generation.model_dump(exclude_none=True)
        told["generation"] = generation
        planned["generation"] = {name: parts.get("generation", {}).get(name) for name in generation}
        told["audit"], planned["audit"] = _audit_told(spec), _audit_planned(folder.plan)
        tally.look()
        for line in explain_difference(planned, told):
            tally.mismatch(f"{where} against {PLAN} (planned -> told)", "the same settings", line)


def environment(folder: Folder, tally: Tally) -> None:
    """Of every attempt it is on record what it ran on: Python, platform, packages, cores, memory."""
    for attempt in folder.attempts:
        tally.look()
        for name in _ENVIRONMENT:
            if not attempt.get(name):
                tally.missing(f"run.json: attempt {attempt.get('attempt')}", name)


def _audit_told(spec: JobSpec) -> dict[str, Any]:
    audit = spec.audit
    return {"seed": audit.seed, "rates": audit.rates_by_stratum(), "margin": audit.margin, "windows": audit.windows}


def _audit_planned(plan: Plan) -> dict[str, Any]:
    """The same of the plan, whose fingerprint it is not part of."""
    rates = {stratum: plan.audit_rates.get(stratum, 0.0) for stratum in STRATA}
    return {"seed": plan.audit_seed, "rates": rates, "margin": plan.audit_margin, "windows": plan.audit_windows}


def _settings(parts: dict[str, Any]) -> str:
    return f"exits {canonical_json(parts.get('exits')).decode().strip()[:300]}"
