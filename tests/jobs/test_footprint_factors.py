from __future__ import annotations

from pathlib import Path

import pytest

from jobs.footprint_factors import EXAMPLE, FootprintFactors, read_factors
from mue_model.config import ConfigError


def _read(tmp_path: Path, text: str) -> FootprintFactors:
    path = tmp_path / "factors.yaml"
    path.write_text(text)
    return read_factors(str(path))


def test_the_example_is_valid_and_states_each_source(tmp_path: Path) -> None:
    factors = _read(tmp_path, EXAMPLE)
    assert factors.power_w is not None
    assert (factors.power_w.value, factors.power_w.source, str(factors.power_w.date)) == (
        65,
        "wall meter, mean over the run",
        "2026-11-28",
    )
    assert factors.machine_price is not None
    assert factors.machine_price.currency == "USD"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("power_w: 65", "power_w"),
        ("power_w: {value: 65, date: 2026-01-01}", "source"),
        ("power_w: {value: 65, source: meter}", "date"),
        ("power_w: {value: 65, source: ' ', date: 2026-01-01}", "say where the figure is from"),
        ("power_w: {value: -1, source: meter, date: 2026-01-01}", "power_w.value"),
        ("pue: {value: 0.9, source: meter, date: 2026-01-01}", "pue.value"),
        ("power: {value: 1, source: meter, date: 2026-01-01}", "power_w"),
        ("machine_price: {value: 1, per: kWh, currency: EUR, source: list, date: 2026-01-01}", "per hour"),
        ("machine_price: {value: 1, currency: euro, source: list, date: 2026-01-01}", "currency"),
        (
            "power_w: {value: 1, source: a, date: 2026-01-01}\n"
            "power_without_gpus_w: {value: 1, source: a, date: 2026-01-01}",
            "not both",
        ),
    ],
)
def test_a_figure_without_source_or_sense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _read(tmp_path, text)


def test_nothing_stated_is_fine(tmp_path: Path) -> None:
    assert _read(tmp_path, "") == FootprintFactors()
