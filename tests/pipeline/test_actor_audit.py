"""The rule that a plan fixes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.actor_audit import shadow_selection
from pipeline.plan import Plan


def test_the_rule_is_the_plan_s_and_unnamed_strata_are_not_shadowed(make_plan: Callable[..., Plan]) -> None:
    parts = {"model": {"config": {"encoder_layers": 6, "decoder_layers": 4}}}
    plan = make_plan("000000-a", parts=parts).model_copy(update={"audit_rates": {"deep": 0.5}, "audit_seed": 3})
    rule = shadow_selection(plan)
    assert (rule.seed, rule.encoder_layers, rule.decoder_layers) == (3, 6, 4)
    assert rule.rates == {"shallow": 0.0, "middle": 0.0, "deep": 0.5, "full": 0.0}


def test_a_plan_that_does_not_say_its_model_s_layers_has_no_rule(make_plan: Callable[..., Plan]) -> None:
    with pytest.raises(ValueError, match=r"plan.json does not say what its model's encoder_layers is"):
        shadow_selection(make_plan("000000-a"))
