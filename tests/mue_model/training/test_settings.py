from __future__ import annotations

import pytest

from mue_model.training.settings import TrainingConfig


@pytest.mark.parametrize(
    ("precision", "cpu", "cuda"), [("auto", False, True), ("float32", False, False), ("bfloat16", True, True)]
)
def test_half_precision_is_the_default_on_cuda_alone(precision: str, cpu: bool, cuda: bool) -> None:
    config = TrainingConfig.model_validate({"precision": precision})
    assert (config.in_half("cpu"), config.in_half("cuda")) == (cpu, cuda)
