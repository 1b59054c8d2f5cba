"""A folder that appears complete or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from mue_model.model_folder import EXITS_FILE, ModelFolderError


def check_target(target: Path, *, ours: Set[str], force: bool) -> None:
    """Raise `ModelFolderError` unless `target` may be written: it is not there, or `force` may replace it.

    Only a model folder that holds nothing but the files `ours` is ever replaced, or an empty folder.
    """
    if not target.exists():
        return
    if not force:
        raise ModelFolderError(f"{target} exists already; choose another folder, or pass --force to replace it")
    if not target.is_dir():
        raise ModelFolderError(f"{target} is a file, not a folder; choose another name")
    found = {path.name for path in target.iterdir()}
    if found and EXITS_FILE not in found:
        raise ModelFolderError(f"{target} is no model folder (no {EXITS_FILE}), so it is not replaced; remove it first")
    if strange := sorted(found - ours):
        raise ModelFolderError(f"{target} holds {strange[0]}, which no model folder has; move it away first")


@contextmanager
def appearing_folder(target: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `target` that takes its place when the block ends well, else goes away.

    Raises:
        ModelFolderError: something could not be written; `target` is as it was.
    """
    place = target.resolve()
    staging = place.with_name(f".{place.name}.{secrets.token_hex(4)}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        yield staging
        _swap(staging, place)
    except (OSError, SafetensorError) as error:
        raise ModelFolderError(f"{target} cannot be written: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _swap(staging: Path, place: Path) -> None:
    """Put `staging` where `place` is; what was there is deleted last."""
    if not place.exists():
        staging.rename(place)
        return
    old = staging.with_suffix(".old")
    place.rename(old)
    try:
        staging.rename(place)
    except OSError:
        old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)
