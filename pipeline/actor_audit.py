"""What a model process is told about the audit of its job. Can be sent to other processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.plan import Plan
from pipeline.shadow_selection import ShadowSelection
from pipeline.shadow_strata import STRATA


@dataclass(frozen=True, kw_only=True)
class ActorAudit:
    """Shadow rows and timing windows of one process."""

    shadows: ShadowSelection
    windows: int = 0
    """Timing windows of the process; 0 for none."""
    rows_expected: int | None = None
    """Rows that the process is likely to get, over which its windows are spread; None: nobody knows."""
    purpose: Literal["run", "audit"] = "run"
    """`audit`: rows are answered to look at a finished job, and committed nowhere."""


def shadow_selection(plan: Plan) -> ShadowSelection:
    """Return the rule that is fixed in `plan`.

    Raises:
        ValueError: The plan does not say how many layers its model has.
    """
    model = (plan.fingerprint_parts.get("model") or {}).get("config") or {}
    try:
        encoder_layers, decoder_layers = int(model["encoder_layers"]), int(model["decoder_layers"])
    except KeyError as error:
        raise ValueError(
            f"plan.json does not say what its model's {error.args[0]} is, by which rows are told"
        ) from error
    return ShadowSelection(
        seed=plan.audit_seed,
        rates={stratum: plan.audit_rates.get(stratum, 0.0) for stratum in STRATA},
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
    )
