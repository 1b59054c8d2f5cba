from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml

from jobs.settings import example_job, help_of, job_schema, spec_as_yaml
from pipeline.spec import JobSpec


def keys(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, inner in schema.items():
        yield f"{path}{name}"
        if isinstance(inner, dict):
            yield from keys(inner, f"{path}{name}.")


def test_the_example_is_a_valid_job_of_defaults() -> None:
    spec = JobSpec.model_validate(yaml.safe_load(example_job()))
    assert spec == JobSpec.model_validate({"inputs": {"urls": spec.inputs.urls}, "output": {"url": spec.output.url}})


def test_the_example_names_every_setting_with_its_true_default() -> None:
    switched_on = re.sub(r"^( *)#(?=\S)", r"\1", example_job(), flags=re.MULTILINE)
    document = yaml.safe_load(switched_on)
    plain = JobSpec.model_validate(yaml.safe_load(example_job()))
    assert JobSpec.model_validate(document) == plain
    assert set(keys(document)) == set(keys(plain.model_dump()))


def test_every_setting_is_explained() -> None:
    lines = example_job().splitlines()
    for before, line in pairwise(lines):
        if re.match(r" *#?[a-z_]+:", line):
            assert re.match(r" *# ", before), f"{line} has no docstring"


def test_a_printed_spec_loads_to_itself() -> None:
    spec = JobSpec.model_validate(
        {"inputs": {"urls": ["ü.tar"]}, "output": {"url": "o"}, "exits": {"decoder": [0.5, 1.0]}}
    )
    assert JobSpec.model_validate(yaml.safe_load(spec_as_yaml(spec))) == spec


def test_the_schema_is_json_with_docstrings() -> None:
    schema = json.loads(json.dumps(job_schema()))
    assert schema["properties"]["model"]["description"] == help_of("model")


@pytest.mark.parametrize("path", ["actors.min", "inputs.fields.image", "task"])
def test_help_is_the_docstring(path: str) -> None:
    assert help_of(path).endswith(".")
