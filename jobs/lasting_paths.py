"""A job whose paths mean the same wherever its driver runs."""

from __future__ import annotations

import os

from mue_model.model_names import lasting_name
from pipeline.spec import JobSpec


def with_lasting_paths(spec: JobSpec) -> JobSpec:
    """Return `spec` with absolute paths: the driver runs in another directory. URLs stay as they are."""
    urls = tuple(url if "://" in url else _absolute(url) for url in spec.inputs.urls)
    return spec.model_copy(
        update={
            "inputs": spec.inputs.model_copy(update={"urls": urls}),
            "output": spec.output.model_copy(update={"url": _lasting_output(spec.output.url)}),
            "model": lasting_name(spec.model),
        }
    )


def _lasting_output(url: str) -> str:
    """As `Storage.open` has it, without opening anything: what a store needs may be installed elsewhere alone."""
    protocol, separator, rest = url.partition("://")
    if not separator or protocol == "file":
        return _absolute(rest if separator else url)
    return url.rstrip("/")


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
