"""What a job file may say, pinned: a renamed key or another default changes every job that relies on it."""

from __future__ import annotations

import os
from pathlib import Path

from mue_model.config import Config
from pipeline.spec import JobSpec

PATH = Path(__file__).resolve().parents[1] / "golden" / "job_keys.txt"


def keys_of(cls: type[Config], path: str = "") -> list[str]:
    """Every key with its default, as in `actors.min = 1`."""
    lines = []
    for name, field in cls.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Config):
            lines += keys_of(inner, f"{path}{name}.")
        else:
            lines.append(f"{path}{name}" + (" (required)" if field.is_required() else f" = {field.default!r}"))
    return lines


def test_the_keys_of_a_job_file_are_the_recorded_ones() -> None:
    found = "\n".join(keys_of(JobSpec)) + "\n"
    if os.environ.get("MUE_WRITE_GOLDEN"):
        PATH.write_text(found, "utf-8")
    assert found == PATH.read_text("utf-8")
