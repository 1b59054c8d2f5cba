"""Settings: frozen, keyword-only, strict; a mistake is one `ConfigError` that names the key."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from mue_model.config import RESNETS, ConfigError, EngineConfig, ExitConfig, GenerationConfig, Quirks, parse_config

CONFIGS = [ExitConfig(), GenerationConfig(), EngineConfig(), Quirks()]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_settings_are_frozen_and_keyword_only_and_documented(config: Any) -> None:
    name, field = next(iter(type(config).model_fields.items()))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, name, getattr(config, name))
    with pytest.raises(TypeError):
        type(config)(getattr(config, name))
    assert field.description
    assert all(field.description for field in type(config).model_fields.values())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_an_unknown_key_is_an_error_that_names_the_nearest(config: Any) -> None:
    name = next(iter(type(config).model_fields))
    with pytest.raises(ConfigError, match=rf"section: {name}x.*{name}\b"):
        parse_config(type(config), {f"{name}x": 1}, where="section")


@pytest.mark.parametrize(
    ("cls", "data", "key"),
    [
        (GenerationConfig, {"max_tokens": 0}, "max_tokens"),
        (GenerationConfig, {"beams": 0}, "beams"),
        (GenerationConfig, {"no_repeat_ngram": -1}, "no_repeat_ngram"),
        (EngineConfig, {"group_size": 0}, "group_size"),
        (EngineConfig, {"policy": "sorted"}, "policy"),
        (ExitConfig, {"schedule": "cosine"}, "schedule"),
        (ExitConfig, {"image": "often"}, "image"),
        (ExitConfig, {"image": False}, "image = False: expected a number"),
        (ExitConfig, {"text": [0.9, True]}, r"text = \[0.9, True\]: expected a number"),
        (GenerationConfig, {"max_tokens": True}, "max_tokens = True: expected a number"),
        (EngineConfig, {"group_size": 2**63}, "group_size = 9223372036854775808: expected a number of at most"),
        (ExitConfig, {"kv_policy": "sometimes"}, "kv_policy"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_key(cls: Any, data: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"exits: {key}"):
        parse_config(cls, data, where="exits")


def test_a_model_s_heads_divide_its_width(small_config: Any) -> None:
    with pytest.raises(ValidationError, match="d_model 18 is not a multiple of decoder_attention_heads 4"):
        small_config(d_model=18)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"eos_token_id": -5}, "eos_token_id -5 is no row of the"),
        ({"bos_token_id": 10**9}, "bos_token_id 1000000000 is no row of the"),
        ({"image_bucket_size": 129}, "less than or equal to 128"),
        ({"attn_scale_factor": 0.0}, "greater than 0"),
        ({"attn_scale_factor": float("nan")}, "finite number"),
    ],
)
def test_a_model_that_could_not_run_is_refused(small_config: Any, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        small_config(**changes)


def test_a_text_may_not_outgrow_the_model_s_positions(small_config: Any) -> None:
    model = small_config(max_position_embeddings=20)
    GenerationConfig(max_tokens=20).check_fits(model)
    with pytest.raises(ConfigError, match=r"generation\.max_tokens = 21: the model has positions for 20 tokens"):
        GenerationConfig(max_tokens=21).check_fits(model)


def test_stem_channels_follow_the_stem(small_config: Any) -> None:
    assert {name: small_config(resnet_type=name).stem_channels for name in RESNETS} == {
        "resnet50": 1024,
        "resnet101": 1024,
        "resnet152": 1024,
        "light": 256,
    }


def test_one_threshold_becomes_one_per_layer(small_config: Any) -> None:
    thresholds = ExitConfig(image=0.9, decoder=(0.1, 0.2, 0.3, 0.4)).per_layer(small_config())
    assert thresholds == {
        "image": (0.9,) * 3,
        "text": (1.0,) * 3,
        "joint": (1.0,) * 3,
        "decoder": (0.1, 0.2, 0.3, 0.4),
    }


def test_settings_and_rows_need_no_torch() -> None:
    code = "import sys, mue_model.config, mue_model.rows, mue_model.costs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_plain_batches_refuse_what_only_the_dense_engine_decodes() -> None:
    beams, late = GenerationConfig(beams=5), ExitConfig(kv_policy="just_in_time")
    EngineConfig().check_fits(late, beams)
    for policy in ("compact", "wait_all", "mask"):
        engine = EngineConfig.model_validate({"policy": policy})
        engine.check_fits(ExitConfig(kv_policy="holes"), GenerationConfig())
        with pytest.raises(ConfigError, match=f"engine.policy = {policy}.*generation.beams needs regroup"):
            engine.check_fits(ExitConfig(), beams)
        with pytest.raises(ConfigError, match="just_in_time needs regroup"):
            engine.check_fits(late, GenerationConfig())
