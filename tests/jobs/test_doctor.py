from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from jobs import doctor
from jobs.doctor import Check, check_cores, check_disk, check_line, check_memory, check_package, check_shared_memory
from jobs.machine import Machine


def machine(**changes: float | None) -> Machine:
    return Machine(**{"cores": 4, "memory_gib": 16, "memory_free_gib": 8, "shm_gib": 8, **changes})  # type: ignore[arg-type]


def test_every_package_a_job_needs_is_looked_at() -> None:
    names = {requirement.name for requirement in doctor.required_packages()}
    assert {"ray", "torch", "pyarrow"} <= names
    assert "pytest" not in names


def test_a_package_that_is_absent_or_too_old_fails_with_a_command() -> None:
    absent = check_package(Requirement("no-such-package-anywhere>=1"))
    assert (absent.level, absent.found) == ("fail", "not installed")
    assert absent.remedy == "pip install 'no-such-package-anywhere>=1'"
    version = importlib.metadata.version("pyarrow")
    assert check_package(Requirement("pyarrow>=1")) == Check(name="package pyarrow", level="ok", found=version)
    assert check_package(Requirement("pyarrow<1")).level == "fail"


def test_a_small_machine_is_warned_about_with_a_remedy() -> None:
    for check in (
        check_cores(machine(cores=1)),
        check_memory(machine(memory_free_gib=0.5)),
        check_shared_memory(machine(shm_gib=0.06)),
    ):
        assert check.level == "warn"
        assert check.remedy
    assert check_shared_memory(machine(shm_gib=None)).level == "ok"


def test_the_disk_of_a_folder_that_is_not_there_yet_is_found(tmp_path: Path) -> None:
    check = check_disk("disk", str(tmp_path / "a" / "b"))
    assert str(tmp_path) in check.found


def test_a_check_that_breaks_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check_accelerator", lambda: 1 / 0)
    (check,) = [check for check in doctor.examine() if check.name == "accelerator"]
    assert (check.level, check.found) == ("fail", "ZeroDivisionError: division by zero")


def test_the_seeded_model_answers() -> None:
    (check,) = [check for check in doctor.examine(with_model=True) if check.name == "model"]
    assert check.level == "ok", check.found


def test_a_line_says_what_to_do() -> None:
    assert check_line(Check(name="x", level="warn", found="y", remedy="z")) == "warn  x: y -> z"
    assert check_line(Check(name="x", level="ok", found="y")) == "ok    x: y"
