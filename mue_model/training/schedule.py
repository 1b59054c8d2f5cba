"""The learning rate over the steps."""

from __future__ import annotations

import math

FLOOR = 0.01
"""Share of the peak at the end."""


def learning_rate(step: int, *, steps: int, peak: float, warmup_steps: int) -> float:
    """Return the rate at 0-based `step`: linear warm-up to `peak`, then a cosine down to `FLOOR` of it."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    along = (step - warmup_steps) / max(1, steps - warmup_steps)
    return peak * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, along))))
