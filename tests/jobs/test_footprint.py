from __future__ import annotations

import datetime
import json

import pytest

from jobs.footprint import footprint
from jobs.footprint_factors import Factor, FootprintFactors, Price, Ratio
from jobs.gpu_energy import GpuEnergy
from jobs.measured_time import MeasuredTime
from jobs.report_words import WORDS

_DAY = datetime.date(2026, 11, 28)
_ALL = FootprintFactors(
    power_w=Factor(value=500, source="meter", date=_DAY),
    pue=Ratio(value=1.2, source="operator", date=_DAY),
    grid_g_per_kwh=Factor(value=400, source="grid", date=_DAY),
    electricity_price=Price(value=0.25, currency="EUR", source="contract", date=_DAY),
    machine_price=Price(value=3, currency="USD", source="list", date=_DAY),
)


_NO_GPU = GpuEnergy(joules=None, joules_counted=None, scope="no model process ran on a GPU")


def _time(seconds: float | None = 7200, *, lost: int = 0) -> MeasuredTime:
    return MeasuredTime(seconds=seconds, attempts=1 + lost, attempts_without_time=lost)


def _counted(joules: float) -> GpuEnergy:
    return GpuEnergy(joules=joules, joules_counted=None, scope="1 node, 1 model process")


def test_each_quantity_follows_from_time_and_factors() -> None:
    found = footprint(_time(), _NO_GPU, _ALL, ok_rows=4000)
    values = {quantity.name: quantity.value for quantity in found.quantities}
    assert values["time"] == 2
    assert values["machine_energy"] == 1
    assert values["energy"] == pytest.approx(1.2)
    assert values["carbon"] == pytest.approx(480)
    assert values["electricity_cost"] == pytest.approx(0.3)
    assert values["machine_cost"] == 6
    assert (found.of("electricity_cost").unit, found.of("machine_cost").unit) == ("EUR", "USD")
    assert found.of("carbon").per_1000_ok_rows == pytest.approx(120)


@pytest.mark.parametrize(
    ("missing", "unknown"),
    [
        ("power_w", {"machine_energy", "energy", "carbon", "electricity_cost"}),
        ("pue", {"energy", "carbon", "electricity_cost"}),
        ("grid_g_per_kwh", {"carbon"}),
        ("electricity_price", {"electricity_cost"}),
        ("machine_price", {"machine_cost"}),
    ],
)
def test_what_is_not_stated_is_unknown_and_so_is_all_that_needs_it(missing: str, unknown: set[str]) -> None:
    found = footprint(_time(), _counted(1.0), _ALL.model_copy(update={missing: None}), ok_rows=10)
    assert {quantity.name for quantity in found.quantities if quantity.value is None} == unknown
    for name in unknown:
        assert found.of(name).how.startswith("unknown: no ")
        assert found.of(name).per_1000_ok_rows is None
    assert missing not in found.factors


def test_without_a_measured_time_everything_is_unknown() -> None:
    found = footprint(_time(None), _NO_GPU, _ALL, ok_rows=10)
    assert [quantity.value for quantity in found.quantities] == [None] * 7


def test_a_killed_attempt_makes_all_of_it_a_lower_bound() -> None:
    found = footprint(_time(lost=1), _NO_GPU, _ALL, ok_rows=10)
    assert all(quantity.lower_bound for quantity in found.quantities if quantity.value is not None)


def test_gpus_that_were_counted_take_the_place_of_a_stated_power() -> None:
    factors = _ALL.model_copy(
        update={"power_w": None, "power_without_gpus_w": Factor(value=100, source="m", date=_DAY)}
    )
    counted = footprint(_time(), _counted(3.6e6), factors, ok_rows=10)
    assert counted.of("gpu_energy").value == 1
    assert counted.of("machine_energy").value == pytest.approx(1.2)
    assert footprint(_time(), _NO_GPU, factors, ok_rows=10).of("machine_energy").value is None


def test_a_part_of_the_gpus_stands_on_a_line_of_its_own_and_is_the_base_of_nothing() -> None:
    factors = _ALL.model_copy(
        update={"power_w": None, "power_without_gpus_w": Factor(value=100, source="m", date=_DAY)}
    )
    scope = "1 of 3 nodes, 2 of 6 model processes"
    found = footprint(_time(), GpuEnergy(joules=None, joules_counted=3.6e6, scope=scope), factors, ok_rows=10)
    unknown = {quantity.name for quantity in found.quantities if quantity.value is None}
    assert unknown == {"gpu_energy", "machine_energy", "energy", "carbon", "electricity_cost"}
    assert found.of("gpu_energy").how == f"unknown: no NVML count of every GPU, but of {scope}"
    part = found.of("gpu_energy_counted")
    assert part.name in WORDS, "or the report has no name for it"
    assert (part.value, part.per_1000_ok_rows) == (1, None)
    assert part.how == f"counted by NVML on {scope}; what the others drew is unknown"


def test_no_ok_row_has_no_figure_per_row() -> None:
    found = footprint(_time(), _NO_GPU, _ALL, ok_rows=0)
    assert found.of("energy").value is not None
    assert found.of("energy").per_1000_ok_rows is None


def test_the_document_keeps_sources_and_dates() -> None:
    document = json.loads(json.dumps(footprint(_time(), _NO_GPU, _ALL, ok_rows=10).document()))
    assert document["factors"]["pue"] == {"value": 1.2, "source": "operator", "date": "2026-11-28"}
    assert len(document["quantities"]) == 7
