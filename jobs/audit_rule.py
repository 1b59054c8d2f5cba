"""Which rows of a finished job `mue audit run` looks at: those that the plan selects, or as asked for now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mue_model.config import ConfigError
from pipeline.actor_audit import shadow_selection
from pipeline.plan import Plan
from pipeline.shadow_selection import ShadowSelection
from pipeline.shadow_strata import STRATA

ROWS = 1000
"""About so many rows are looked at where nothing else is said."""

From = Literal["plan", "audit"]


@dataclass(frozen=True, kw_only=True)
class AuditRule:
    """The rule, and who fixed it: a rule of the plan could not follow the answers, one of the audit could."""

    selection: ShadowSelection
    rule_from: From
    margin: float | None
    margin_from: From | None


def audit_rule(
    plan: Plan, *, rows: int, rate: float | None = None, seed: int | None = None, margin: float | None = None
) -> AuditRule:
    """Return the rule of one audit.

    Args:
        plan: Of the job.
        rows: `ok` rows of the job.
        rate: Share of rows of all strata; left out: the plan's rates, or if it has none, enough for `ROWS` rows.
        seed: Left out: the plan's.
        margin: Left out: the plan's.

    Raises:
        ConfigError: The plan has a rule, or a margin, and another one is asked for.
    """
    selection = shadow_selection(plan)
    planned = selection.any
    if planned and ((rate is not None) or (seed is not None and seed != plan.audit_seed)):
        raise ConfigError(
            f"the plan fixes audit.seed = {plan.audit_seed} and audit.rates = {plan.audit_rates} since before the job "
            "ran: leave --rate and --seed out, so that nobody can have chosen the rows"
        )
    if plan.audit_margin is not None and margin is not None and margin != plan.audit_margin:
        raise ConfigError(
            f"the plan declares audit.margin = {plan.audit_margin} since before the job ran: leave --margin out"
        )
    if not planned:
        share = rate if rate is not None else min(1.0, ROWS / rows) if rows else 0.0
        chosen = plan.audit_seed if seed is None else seed
        selection = replace(selection, seed=chosen, rates=dict.fromkeys(STRATA, share))
    declared: From | None = None if plan.audit_margin is None and margin is None else "audit"
    return AuditRule(
        selection=selection,
        rule_from="plan" if planned else "audit",
        margin=margin if plan.audit_margin is None else plan.audit_margin,
        margin_from="plan" if plan.audit_margin is not None else declared,
    )
