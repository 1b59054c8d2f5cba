"""Errors that a user can act on, and the exit code of each. All others are faults of ours and keep their traceback."""

from __future__ import annotations

from jobs.poison import TooMuchPoison
from mue_model.config import ConfigError
from mue_model.model_folder import ModelFolderError
from pipeline.errors import PipelineError
from pipeline.exit_codes import ExitCode
from pipeline.plan import PlanError
from pipeline.plan_match import FingerprintMismatch
from pipeline.storage import UnusableUrl

KNOWN_ERRORS: tuple[type[Exception], ...] = (ConfigError, ModelFolderError, PipelineError)
_USAGE: tuple[type[Exception], ...] = (ConfigError, ModelFolderError, PlanError, FingerprintMismatch, UnusableUrl)


def exit_code_of(error: BaseException) -> ExitCode:
    """Return 2 where the command line, a setting or an input must change, 3 where too much fails, else 1."""
    if isinstance(error, TooMuchPoison):
        return ExitCode.FAILURE_BUDGET
    return ExitCode.USAGE if isinstance(error, _USAGE) else ExitCode.FAILURE
