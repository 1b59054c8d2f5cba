from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from cluster.profiles import PROFILES, profile_text
from cluster.spec import RAY_VERSION, ClusterSpec

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_valid_and_says_what_was_run(name: str) -> None:
    text = profile_text(name)
    spec = ClusterSpec.model_validate(yaml.safe_load(text))
    assert spec.groups
    comment = " ".join(line for line in text.splitlines() if line.startswith("#"))
    assert re.search(r"[Rr]endered|stand-ins", comment), "an operator must know what was never run"


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="gpu-spot"):
        profile_text("../spec")


def test_the_image_has_the_ray_and_torch_that_the_package_allows_and_no_root() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    dockerfile = (ROOT / "cluster" / "Dockerfile").read_text("utf-8")
    [ray] = re.findall(r"ray\[data,default\]==([\d.]+)", dockerfile)
    [torch] = re.findall(r"torch==([\d.]+)", dockerfile)
    wanted = {re.split(r"[\[><]", line)[0]: line for line in project["dependencies"]}
    assert ray == RAY_VERSION
    assert ray in SpecifierSet(wanted["ray"].removeprefix("ray[data,default]"))
    assert torch in SpecifierSet(wanted["torch"].removeprefix("torch"))
    instructions = [line for line in dockerfile.splitlines() if re.match(r"[A-Z]+ ", line)]
    assert [line for line in instructions if line.startswith("USER")] == ["USER 1000"]
    assert "RAY_AUTH_MODE=token" in dockerfile
    copied = {line.split()[1] for line in instructions if line.startswith("COPY")}
    assert copied == {"pyproject.toml", "mue_model", "pipeline", "jobs", "cluster"}, "nothing else gets into the image"
