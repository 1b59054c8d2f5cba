from __future__ import annotations

import pytest

from jobs.cli_options import actor_bounds, overrides_of
from jobs.spec import load_spec
from mue_model.config import ConfigError


def test_options_become_settings_and_set_wins() -> None:
    settings = overrides_of(["actors.max=9"], model="models/1", exits="{image: 0.5}", actors="2:4")
    spec = load_spec(None, inputs=["x"], output="o", overrides=settings)
    assert spec.model == "models/1"
    assert spec.exits.image == 0.5  # type: ignore[union-attr]
    assert (spec.actors.min, spec.actors.max) == (2, 9)


def test_a_name_stays_text_and_one_number_is_both_bounds() -> None:
    spec = load_spec(None, inputs=["x"], output="o", overrides=overrides_of(None, model="12", actors="3"))
    assert (spec.model, spec.actors.min, spec.actors.max) == ("12", 3, 3)


def test_a_task_is_asked_with_its_field() -> None:
    settings = overrides_of(["inputs.fields.question=json:vqa[*].question"], task="vqa")
    spec = load_spec(None, inputs=["x"], output="o", overrides=settings)
    assert (spec.task, spec.inputs.fields.question) == ("vqa", "json:vqa[*].question")
    with pytest.raises(
        ConfigError, match=r"task 'entailment' needs inputs\.fields\.hypothesis.*'json:ve\[\*\]\.hypothesis'"
    ):
        load_spec(None, inputs=["x"], output="o", overrides=overrides_of(None, task="entailment"))


@pytest.mark.parametrize(
    "actors", ["", "many", "2:", ":2", "2:x", "-1", "0", "0:2", "5:2", "2:3:4", "\u0662", "9" * 5000]
)
def test_actors_that_are_no_number_are_refused(actors: str) -> None:
    with pytest.raises(ConfigError, match="expected a number or MIN:MAX"):
        overrides_of([], actors=actors)


@pytest.mark.parametrize("actors", ["40001", "1:99999999", "999999999999999999"])
def test_more_actors_than_a_job_can_have_are_refused(actors: str) -> None:
    """Ray Data asks for all of the fewest in one loop: of a slip of the finger that would be endless."""
    with pytest.raises(ConfigError, match=r"at most 40,000 actors"):
        actor_bounds(actors)
    assert actor_bounds("1:40000") == (1, 40_000)
    with pytest.raises(ConfigError, match=r"actors\.max = .*40000"):
        load_spec(None, inputs=["x"], output="o", overrides=[f"actors.max={actors.rpartition(':')[2]}"])
