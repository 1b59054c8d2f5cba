from __future__ import annotations

import pytest
from pydantic import ValidationError

from mue_model.training.recipe import FINE_TUNING, RECIPES, Recipe, layer_weights


@pytest.mark.parametrize("layers", [1, 3, 6])
def test_linear_weights_grow_by_layer_and_sum_to_one(layers: int) -> None:
    weights = layer_weights("linear", layers)
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    assert [weight / weights[0] for weight in weights] == pytest.approx(list(range(1, layers + 1)))


def test_without_the_layers_loss_only_the_last_one_counts() -> None:
    assert layer_weights("last", 4) == [0.0, 0.0, 0.0, 1.0]


def test_published_is_the_plain_sum_at_full_depth() -> None:
    published = RECIPES["published"]
    assert layer_weights(published.layer_weights, 4) == [1.0] * 4
    assert not published.random_depth
    assert published.self_distillation == 0
    assert published.label_smoothing == 0.1


def test_ours_and_distilled_meet_early_exits_in_training() -> None:
    assert RECIPES["ours"].random_depth
    assert RECIPES["ours"].layer_weights == "linear"
    assert RECIPES["distilled"] == RECIPES["ours"].model_copy(update={"self_distillation": 0.5})


def test_fine_tuning_changes_settings_that_exist() -> None:
    assert Recipe.model_validate(RECIPES["ours"].model_dump() | FINE_TUNING).learning_rate == 3e-5


@pytest.mark.parametrize("wrong", [{"entailment_share": 1.1}, {"batch_rows": 0}, {"layer_weights": "square"}, {"x": 1}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate(wrong)
