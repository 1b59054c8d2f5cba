"""The fingerprint: equal for two jobs exactly if the same rows must come out the same.

Engine sizes, actors, the cluster, failure budgets and the output folder are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mue_model.config import Config
from pipeline.canonical_json import canonical_json, digest_of
from pipeline.plan import PlannedShard
from pipeline.records import RESULTS_VERSION, ROW_SCHEMA_VERSION

_ABSENT = "(absent)"
_SCORING = {"references", "label"}
"""Fields that are only looked at when answers are scored."""


def fingerprint_parts(
    *,
    shards: Iterable[PlannedShard],
    model_digest: str,
    model_config: Config,
    untrained: bool,
    task: str,
    prompt: str,
    answers: Mapping[str, str],
    fields: Config,
    limits: Mapping[str, int],
    exits: Config,
    generation: Config,
    filters: Config,
    image_size: int,
    dtype: str,
) -> dict[str, Any]:
    """Return everything that may change a result, as plain JSON values.

    Args:
        shards: Those of the plan.
        model_digest: Of weights and configuration.
        model_config: The model's settings.
        untrained: Whether its texts mean nothing.
        task: What is asked.
        prompt: Its wording; `{text}` stands for a row's own text.
        answers: Wording of the answers to choose from, by label.
        fields: Where a row has what; what only scores rows is left out.
        limits: Rows beyond them fail.
        exits: When rows settle.
        generation: How text is decoded.
        filters: Rows that are not asked about.
        image_size: Side in pixels.
        dtype: Of the computation.
    """
    shards = list(shards)
    identities = [[shard.shard_id, shard.url, shard.size, shard.etag] for shard in shards]
    return {
        "inputs": {
            "digest": digest_of(canonical_json(identities)),
            "shards": len(shards),
            "bytes": sum(shard.size for shard in shards),
        },
        "model": {"digest": model_digest, "config": model_config.model_dump(mode="json"), "untrained": untrained},
        "task": task,
        "prompt": prompt,
        "answers": dict(answers),
        "fields": fields.model_dump(mode="json", exclude=_SCORING),
        "limits": dict(limits),
        "exits": exits.model_dump(mode="json"),
        "generation": generation.model_dump(mode="json"),
        "filters": filters.model_dump(mode="json"),
        "image_size": image_size,
        "dtype": dtype,
        "results_version": RESULTS_VERSION,
        "row_schema_version": ROW_SCHEMA_VERSION,
    }


def fingerprint_of(parts: dict[str, Any]) -> str:
    """Return the SHA-256 of `parts` as canonical JSON."""
    return digest_of(canonical_json(parts))


def explain_difference(old_parts: dict[str, Any], new_parts: dict[str, Any]) -> list[str]:
    """Return one line per setting that differs, as in `exits.image: 0.9 -> 0.8`, sorted by name."""
    old, new = _flat(old_parts), _flat(new_parts)
    return [
        f"{name}: {old.get(name, _ABSENT)} -> {new.get(name, _ABSENT)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name, _ABSENT) != new.get(name, _ABSENT)
    ]


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Every leaf under its dotted name, as canonical JSON."""
    if isinstance(value, dict) and value:
        return {key: text for part, inner in value.items() for key, text in _flat(inner, f"{name}.{part}").items()}
    return {name.removeprefix("."): canonical_json(value).decode().rstrip("\n")}
