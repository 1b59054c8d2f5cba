"""The fingerprint: moves with everything that changes results, and with nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mue_model.config import ExitConfig, GenerationConfig, ModelConfig
from pipeline import fingerprint as module
from pipeline.canonical_json import canonical_json
from pipeline.fingerprint import explain_difference, fingerprint_of, fingerprint_parts
from pipeline.plan import PlannedShard
from pipeline.spec import FieldsConfig, FiltersConfig

MODEL = ModelConfig(
    vocab_size=100,
    d_model=8,
    encoder_layers=2,
    encoder_attention_heads=2,
    encoder_ffn_dim=16,
    decoder_layers=2,
    decoder_attention_heads=2,
    decoder_ffn_dim=16,
    resnet_type="light",
)
SHARD = PlannedShard(shard_id="000000-a", url="s3://corpus/a.tar", size=10_240, etag="e1", rows=None)


def _parts(**changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "shards": [SHARD],
        "model_digest": "d" * 64,
        "model_config": MODEL,
        "untrained": False,
        "task": "caption",
        "prompt": " what does the image describe?",
        "answers": {"neutral": " so"},
        "limits": {"max_pixels": 1000},
        "fields": FieldsConfig(),
        "exits": ExitConfig(image=0.9, decoder=(0.5, 0.75)),
        "generation": GenerationConfig(),
        "filters": FiltersConfig(),
        "image_size": 32,
        "dtype": "float32",
    }
    return fingerprint_parts(**{**settings, **changes})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"exits": ExitConfig(image=0.8, decoder=(0.5, 0.75))}, "exits.image: 0.9 -> 0.8"),
        ({"exits": ExitConfig(image=0.9, decoder=0.5)}, "exits.decoder: [0.5,0.75] -> 0.5"),
        ({"model_digest": "e" * 64}, f'model.digest: "{"d" * 64}" -> "{"e" * 64}"'),
        ({"model_config": MODEL.model_copy(update={"vocab_size": 101})}, "model.config.vocab_size: 100 -> 101"),
        ({"prompt": "what?"}, 'prompt: " what does the image describe?" -> "what?"'),
        ({"limits": {"max_pixels": 10}}, "limits.max_pixels: 1000 -> 10"),
        ({"answers": {"neutral": " maybe"}}, 'answers.neutral: " so" -> " maybe"'),
        ({"fields": FieldsConfig(hypothesis="txt")}, 'fields.hypothesis: null -> "txt"'),
        ({"task": "vqa"}, 'task: "caption" -> "vqa"'),
        ({"fields": FieldsConfig(image="png")}, 'fields.image: "jpg;jpeg;png;webp" -> "png"'),
        ({"generation": GenerationConfig(max_tokens=8)}, "generation.max_tokens: 16 -> 8"),
        ({"filters": FiltersConfig(min_side=64)}, "filters.min_side: 0 -> 64"),
        ({"untrained": True}, "model.untrained: false -> true"),
        ({"image_size": 64}, "image_size: 32 -> 64"),
        ({"dtype": "bfloat16"}, 'dtype: "float32" -> "bfloat16"'),
    ],
)
def test_moves_with_what_changes_results(changes: dict[str, Any], line: str) -> None:
    assert explain_difference(_parts(), _parts(**changes)) == [line]
    assert fingerprint_of(_parts()) != fingerprint_of(_parts(**changes))


@pytest.mark.parametrize(
    "update", [{"url": "s3://corpus/b.tar"}, {"etag": "e2"}, {"size": 1}, {"shard_id": "000000-b"}]
)
def test_moves_with_the_inputs(update: dict[str, Any]) -> None:
    changed = _parts(shards=[SHARD.model_copy(update=update)])
    assert fingerprint_of(_parts()) != fingerprint_of(changed)
    assert any(line.startswith("inputs.digest: ") for line in explain_difference(_parts(), changed))


def test_does_not_move_with_what_only_scores_rows() -> None:
    assert _parts(fields=FieldsConfig(label="json:label", references="json:captions")) == _parts()


def test_does_not_move_with_what_is_merely_known_about_a_shard() -> None:
    assert _parts(shards=[SHARD.model_copy(update={"rows": 50})]) == _parts()


def test_moves_with_the_versions_of_results_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _parts()
    monkeypatch.setattr(module, "RESULTS_VERSION", 2)
    assert explain_difference(before, _parts()) == ["results_version: 1 -> 2"]
    assert before["row_schema_version"] == 3


def test_stays_the_same_on_the_way_through_a_file() -> None:
    assert fingerprint_of(json.loads(canonical_json(_parts()))) == fingerprint_of(_parts())
    assert explain_difference(json.loads(canonical_json(_parts())), _parts()) == []


def test_the_order_of_keys_does_not_matter() -> None:
    assert fingerprint_of({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint_of({"b": {"d": 3, "c": 2}, "a": 1})


def test_names_settings_that_came_or_went() -> None:
    assert explain_difference({"a": {"old": 1}, "s": {}}, {"a": {"new": 2}, "s": {}}) == [
        "a.new: (absent) -> 2",
        "a.old: 1 -> (absent)",
    ]


def test_refuses_numbers_that_json_does_not_have() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        fingerprint_of({"threshold": float("nan")})
