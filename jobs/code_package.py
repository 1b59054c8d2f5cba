"""The folder that goes to a cluster with a job: our own code and the job's file, and nothing that happens to lie near.

What may go is listed, not what may not: data, checkpoints, keys, virtual environments and histories stay where they
are because nobody names them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

from jobs.settings import spec_as_yaml
from mue_model.model_names import DEMO_NAME
from pipeline.spec import JobSpec

PACKAGES = ("mue_model", "pipeline", "jobs", "cluster")
JOB_FILE = "job.yaml"
_CODE = {".py", ".typed", ".sh"}
_SHIPPED = Path("shipped")
"""Where `mue_model` keeps what is part of the package: the model `demo`, by whose digest any job's model is named."""


def write_package(folder: Path, spec: JobSpec, *, roots: dict[str, Path] | None = None) -> None:
    """Fill `folder` with what `python -m jobs.cli run -c job.yaml` needs beside the installed libraries.

    Args:
        folder: An empty folder.
        spec: The job.
        roots: Where our packages lie; left out: where this process has them from.
    """
    for package, root in (roots or {name: _root(name) for name in PACKAGES}).items():
        whole = (_SHIPPED / DEMO_NAME,) if package == "mue_model" else ()
        for path in code_files(root, whole):
            place = folder / package / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, place)
    (folder / JOB_FILE).write_text(spec_as_yaml(spec), "utf-8")
    # An attempt records the version that it ran.
    about = folder / f"mue-{importlib.metadata.version('mue')}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mue\nVersion: {importlib.metadata.version('mue')}\n")


def code_files(root: Path, whole: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files that go along, relative to `root`: code, and what is in `whole`; no links, none hidden."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        if hidden or path.is_symlink() or not path.is_file():
            continue
        if any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(root) and parent != root):
            continue
        if path.suffix in _CODE or relative.parent in whole:
            yield relative


def _root(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(next(iter(found.submodule_search_locations)))
