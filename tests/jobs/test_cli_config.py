from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import yaml
from typer.testing import Result


def test_init_gives_a_job_that_show_accepts(mue: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(mue("config", "init").stdout)
    shown = mue("config", "show", "-c", file, "--set", "actors.min=2")
    assert shown.exit_code == 0, shown.stderr
    assert yaml.safe_load(shown.stdout)["actors"]["min"] == 2
    assert json.loads(mue("config", "show", "-c", file, "--json").stdout)["output"]["url"] == "out"


def test_an_unknown_key_names_file_value_and_neighbour(mue: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("inputs: {urls: a}\noutput: {url: o}\nexits: {imgae: 0.9}\n")
    result = mue("config", "show", "-c", file)
    assert result.exit_code == 2
    assert result.stderr == f"error: {file}: exits.imgae = 0.9: unknown key, did you mean 'image'?\n"
    assert result.stdout == ""


def test_the_schema_is_json(mue: Callable[..., Result]) -> None:
    assert "inputs" in json.loads(mue("config", "schema").stdout)["properties"]
