from __future__ import annotations

import pytest

from jobs.train_spec import TrainSpec, load_train_spec
from mue_model.config import ConfigError
from mue_model.training.recipe import RECIPES
from mue_model.training.settings import TrainingConfig


def test_without_options_it_is_our_recipe_on_the_small_model() -> None:
    spec = load_train_spec("corpus", "out")
    assert (spec.size, spec.recipe, spec.training) == ("small", RECIPES["ours"], TrainingConfig())


def test_set_wins_over_options_and_recipe() -> None:
    spec = load_train_spec(
        "corpus", "out", recipe="published", steps=9, overrides=["training.steps=3", "recipe.learning_rate=0.5"]
    )
    assert spec.training.steps == 3
    assert spec.recipe == RECIPES["published"].model_copy(update={"learning_rate": 0.5})


def test_fine_tuning_is_gentler_unless_it_is_told_otherwise() -> None:
    spec = load_train_spec("corpus", "out", init="models/ofa")
    assert (spec.recipe.learning_rate, spec.recipe.batch_rows, spec.recipe.freeze_batch_norm) == (3e-5, 64, True)
    assert spec.size is None
    told = load_train_spec("corpus", "out", init="models/ofa", overrides=["recipe.learning_rate=0.01"])
    assert told.recipe.learning_rate == 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "theirs"}, "--recipe theirs: expected published, ours, distilled"),
        ({"size": "small", "init": "m"}, "--size small with --init"),
        ({"overrides": ["recipe.learning_rat=1"]}, "recipe.learning_rat.*learning_rate"),
        ({"overrides": ["recipe.batch_rows=0"]}, "recipe.batch_rows = 0"),
        ({"overrides": ["model.d_model=3"]}, r"--set model\.d_model: expected recipe\.KEY or training\.KEY"),
        ({"overrides": ["recipe={}"]}, "--set recipe: expected"),
        ({"overrides": ["steps"]}, "expected key=value"),
        ({"steps": 0}, "training.steps = 0"),
        ({"limit": 0}, "limit = 0"),
        ({"threads": -1}, "threads = -1"),
    ],
)
def test_what_is_wrong_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_train_spec("corpus", "out", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "published", "steps": 7, "seed": 2, "overrides": ["recipe.clip_norm=2"], "limit": 5},
        {"init": "models/ofa", "streams": "decomposed"},
    ],
)
def test_the_command_does_the_same_and_names_no_folder_above(options: dict[str, object]) -> None:
    spec = load_train_spec("/data/corpus", "/runs/out", **options)  # type: ignore[arg-type]
    words = spec.command().split()
    assert words[:5] == ["mue", "train", "corpus", "--output", "out"]
    assert "/" not in spec.command()
    again = _parsed(words[2:])
    left = {"corpus", "output", "init"}
    assert again.model_dump(exclude=left) == spec.model_dump(exclude=left)


def _parsed(words: list[str]) -> TrainSpec:
    options: dict[str, object] = {"overrides": []}
    for name, value in zip(words[1::2], words[2::2], strict=True):
        key = name.removeprefix("--")
        if key == "set":
            options["overrides"].append(value)  # type: ignore[attr-defined]
        else:
            options[key] = int(value) if value.isdecimal() else value
    return load_train_spec(words[0], str(options.pop("output")), **options)  # type: ignore[arg-type]
