"""Settings out of range are named."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError, parse_config


@pytest.mark.parametrize(
    ("key", "value"),
    [("tasks", ["vqa"]), ("tasks", []), ("min_quality", 1.2), ("max_flops", 0), ("certify", 1), ("images", 0)],
)
def test_values_out_of_range_are_named(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"mue tune: {key}"):
        parse_config(TuneSettings, {"shards": ["val"], key: value}, where="mue tune")


def test_fast_asks_for_no_more_than_balanced() -> None:
    with pytest.raises(ConfigError, match=r"fast_quality 0\.97 is more than min_quality 0\.95.*give a fast_quality"):
        parse_config(TuneSettings, {"shards": ["val"], "min_quality": 0.95}, where="mue tune")
    assert parse_config(TuneSettings, {"shards": ["val"], "min_quality": 0.95, "fast_quality": 0.95}, where="mue tune")


def test_every_setting_is_explained() -> None:
    assert all(field.description for field in TuneSettings.model_fields.values())


def test_what_exits_are_held_against_grows_with_the_points() -> None:
    assert [TuneSettings(shards=("val",), points=points).constants for points in (1, 5, 20)] == [1, 3, 10]
