"""Which rows are run again at full depth: a keyed hash of the uid, below the rate of the row's stratum.

Seed and rates are fixed in the plan before the first row is answered, so the choice depends neither on the order of
rows nor on retries, and anyone can check it afterwards from the rows and the plan alone.

The hash is SHA-256 of `<seed>:<uid>`; its first 16 hexadecimal digits are compared, as text, with those of the rate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipeline.shadow_strata import STRATA, Stratum, stratum_of, stratum_sql

_DIGITS = 16
_ABOVE_ALL = "g"
"""Greater than any text of hexadecimal digits."""


def key_of(seed: int, uid: str) -> str:
    """Return the digits that decide about a row: uniform over its 16^16 values."""
    return hashlib.sha256(f"{seed}:{uid}".encode()).hexdigest()[:_DIGITS]


def bound_of(rate: float) -> str:
    """Return what keys of a share of `rate` lie below; raise `ValueError` for a rate that is no share."""
    if not 0 <= rate <= 1:
        raise ValueError(f"rate {rate} is not between 0 and 1")
    below = int(Fraction(rate) * 16**_DIGITS)
    return _ABOVE_ALL if below >= 16**_DIGITS else f"{below:0{_DIGITS}x}"


@dataclass(frozen=True, kw_only=True)
class ShadowSelection:
    """The rule of one job; can be sent to other processes."""

    seed: int
    rates: Mapping[Stratum, float]
    """Strata that are left out are not shadowed."""
    encoder_layers: int
    decoder_layers: int

    @property
    def any(self) -> bool:
        """Whether it may select a row."""
        return any(self.rates.get(stratum, 0.0) > 0 for stratum in STRATA)

    def stratum(self, image: int, text: int, decoder: Sequence[int]) -> Stratum:
        """Return the stratum of a row with these layers run."""
        return stratum_of(image, text, decoder, encoder_layers=self.encoder_layers, decoder_layers=self.decoder_layers)

    def selects(self, uid: str, stratum: Stratum) -> bool:
        """Return whether an `ok` row of `stratum` is run again at full depth."""
        return key_of(self.seed, uid) < bound_of(self.rates.get(stratum, 0.0))


def selected_sql(selection: ShadowSelection) -> str:
    """Return a condition of duckdb that holds for the `ok` rows which `selection` selects."""
    key = f"substr(sha256('{selection.seed}:' || uid), 1, {_DIGITS})"
    stratum = stratum_sql(encoder_layers=selection.encoder_layers, decoder_layers=selection.decoder_layers)
    bounds = " ".join(f"WHEN '{name}' THEN '{bound_of(selection.rates.get(name, 0.0))}'" for name in STRATA)
    return f"{key} < CASE {stratum} {bounds} END"
