from __future__ import annotations

import pytest

from jobs.known_errors import KNOWN_ERRORS, exit_code_of
from jobs.poison import TooMuchPoison
from mue_model.config import ConfigError
from mue_model.model_folder import ModelFolderError
from pipeline.completeness import IncompleteJob
from pipeline.plan import PlanError
from pipeline.plan_match import FingerprintMismatch
from pipeline.receipts import LedgerError
from pipeline.storage import StorageError, UnusableUrl


@pytest.mark.parametrize(
    "error",
    [ConfigError("x"), ModelFolderError("x"), PlanError("x"), FingerprintMismatch("x"), UnusableUrl("x")],
)
def test_what_the_caller_must_change_is_2(error: Exception) -> None:
    assert isinstance(error, KNOWN_ERRORS)
    assert exit_code_of(error) == 2


@pytest.mark.parametrize("error", [LedgerError("x"), StorageError("x"), IncompleteJob("x", {})])
def test_what_went_wrong_on_the_way_is_1(error: Exception) -> None:
    assert isinstance(error, KNOWN_ERRORS)
    assert exit_code_of(error) == 1


def test_what_the_failure_budget_forbids_is_3() -> None:
    assert isinstance(TooMuchPoison("x"), KNOWN_ERRORS)
    assert exit_code_of(TooMuchPoison("x")) == 3


def test_our_own_faults_are_not_known() -> None:
    assert not isinstance(ValueError("x"), KNOWN_ERRORS)
