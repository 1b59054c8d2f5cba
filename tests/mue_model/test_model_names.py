"""A model's name becomes its facts, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mue_model.model_folder import ModelFolderError
from mue_model.model_names import model_facts
from mue_model.seeded import seeded_facts


def test_seeded_is_the_seeded_model_and_all_else_a_folder(tmp_path: Path) -> None:
    assert model_facts("seeded").digest == seeded_facts().digest
    with pytest.raises(ModelFolderError, match="there is no such folder"):
        model_facts(str(tmp_path / "seeded"))


@pytest.mark.parametrize("module", ["mue_model.model_names", "mue_model.costs", "jobs.planning", "jobs.cli"])
def test_planning_needs_neither_torch_nor_ray(module: str) -> None:
    code = (
        f"import sys, {module}; from mue_model.model_names import model_facts; model_facts('seeded'); "
        "print([name for name in ('torch', 'ray') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
