from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mue_model.config import ModelConfig
from mue_model.training.card import CardFacts, training_card
from mue_model.training.export import Exported
from mue_model.training.recipe import RECIPES
from mue_model.training.validation import Scores, Validation

EXPORTED = Exported(parameters=6_925_844, weights_digest="ab" * 32, weights_bytes=13_900_000)
SCORES = Scores(5, [2.0, 1.5], [0.5, 0.75], [0.2, 0.4])


@pytest.fixture
def facts(toy_config: Callable[..., ModelConfig]) -> CardFacts:
    return CardFacts(
        name="toy",
        command="mue train corpus --output toy",
        config=toy_config(),
        recipe_name="distilled",
        recipe=RECIPES["distilled"],
        steps=1234,
        seed=9,
        origin={"weights": "new, size tiny"},
        data={"SHA-256 of train/": "`cd`", "license": "CC BY-SA 4.0"},
        versions={"torch": "2"},
        notes=["streams changed from joint to decomposed"],
        validation=Validation(1234, {"caption": SCORES}, {"caption": {"1": SCORES, "2": SCORES}}),
    )


def test_the_card_says_how_to_make_it_again_and_how_good_it_is(facts: CardFacts) -> None:
    card = training_card(facts, EXPORTED)
    for part in (
        "# toy\n",
        "6,925,844 parameters",
        "    mue train corpus --output toy\n",
        "| SHA-256 of train/ | `cd` |",
        "CC BY-SA 4.0",
        "Recipe `distilled`, 1,234 steps, seed 9",
        "| self_distillation | 0.5 |",
        f"SHA-256 `{'ab' * 32}`",
        "| level | rows | layer 1 | layer 2 |",
        "| 2 | 5 | 50.0% | 75.0% |",
        "last layer, caption: 40.0%",
        "- streams changed from joint to decomposed",
        "As trained, the only preset is `exact`",
        "nothing useful about photographs",
    ):
        assert part in card


def test_no_validation_is_said(facts: CardFacts) -> None:
    card = training_card(replace(facts, validation=None), EXPORTED)
    assert "None: the corpus has no validation split" in card
    assert "layer 1" not in card
