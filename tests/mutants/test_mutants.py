"""The deliberate mistakes can still be made: code that moves on must take its mutant along."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

MUTANTS = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text("utf-8"))["mutant"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant["name"])
def test_a_mutant_finds_its_place(mutant: dict[str, str], request: pytest.FixtureRequest) -> None:
    root = Path(request.config.rootpath)
    assert (root / mutant["file"]).read_text("utf-8").count(mutant["find"]) == 1
    assert mutant["find"] != mutant["replace"]
    assert mutant["tests"]
    assert all((root / path).exists() for path in mutant["tests"])
