"""Rows of an audit: the plan's rule wins, for it could not follow the answers."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.audit_rule import audit_rule
from mue_model.config import ConfigError


def test_the_plan_s_rule_and_margin_are_taken_and_cannot_be_replaced(job: Any) -> None:
    plan = job.plan.model_copy(update={"audit_rates": {"deep": 0.2}, "audit_seed": 4, "audit_margin": 0.01})
    found = audit_rule(plan, rows=100, seed=4, margin=0.01)
    assert (found.selection.seed, found.selection.rates["deep"], found.selection.rates["full"]) == (4, 0.2, 0.0)
    assert (found.rule_from, found.margin, found.margin_from) == ("plan", 0.01, "plan")
    for asked in ({"rate": 0.5}, {"seed": 5}, {"margin": 0.02}):
        with pytest.raises(ConfigError, match=r"the plan (fixes|declares) .* before the job ran"):
            audit_rule(plan, rows=100, **asked)


@pytest.mark.parametrize(("rows", "rate"), [(1_000_000, 0.001), (4000, 0.25), (30, 1.0), (0, 0.0)])
def test_without_one_about_a_thousand_rows_of_all_strata_are_taken(rows: int, rate: float, job: Any) -> None:
    found = audit_rule(job.plan, rows=rows)
    assert set(found.selection.rates.values()) == {rate}
    assert (found.rule_from, found.margin, found.margin_from) == ("audit", None, None)


def test_a_rule_of_one_s_own_says_that_it_came_with_the_audit(job: Any) -> None:
    found = audit_rule(job.plan, rows=100, rate=0.5, seed=9, margin=0.02)
    assert (found.selection.seed, set(found.selection.rates.values())) == (9, {0.5})
    assert (found.rule_from, found.margin, found.margin_from) == ("audit", 0.02, "audit")
