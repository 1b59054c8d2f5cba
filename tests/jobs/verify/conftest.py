"""Copies of output folders to tamper with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.verify import Verification, VerifySettings, verify
from pipeline.canonical_json import canonical_json
from pipeline.ledger import Ledger
from pipeline.manifest import file_digest
from pipeline.storage import Storage


class Copy:
    """A copy of an output folder to tamper with. `forged`: digests are made anew, as a thorough forger would."""

    def __init__(self, folder: Path, *, forged: bool = True) -> None:
        self.folder, self.forged = folder, forged

    @property
    def manifest(self) -> dict[str, Any]:
        return self.json("manifest.json")

    def json(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / path).read_bytes())
        return found

    def write_json(self, path: str, document: dict[str, Any]) -> None:
        self.write(path, canonical_json(document, indent=1 if path in ("plan.json", "run.json") else None))

    def write(self, path: str, data: bytes) -> None:
        """Write a file, and have manifest and receipt vouch for it where the copy is a forged one."""
        (self.folder / path).write_bytes(data)
        if not self.forged or path == "manifest.json":
            return
        manifest, digest = self.manifest, file_digest(data)
        for part in manifest["parts"]:
            if part["path"] == path:
                part |= {
                    "bytes": digest.bytes,
                    "sha256": digest.sha256,
                    "rows": pq.read_metadata(self.folder / path).num_rows,
                }
                self._vouch(manifest, part)
        if path in manifest["files"]:
            manifest["files"][path] = digest.model_dump()
        manifest["rows"] = sum(part["rows"] for part in manifest["parts"])
        (self.folder / "manifest.json").write_bytes(canonical_json(manifest, indent=1))

    def _vouch(self, manifest: dict[str, Any], part: dict[str, Any]) -> None:
        receipt_path = f"done/{Path(part['path']).stem}.json"
        data = canonical_json(self.json(receipt_path) | {"part": part})
        (self.folder / receipt_path).write_bytes(data)
        manifest["files"][receipt_path] = file_digest(data).model_dump()

    def parts(self) -> list[str]:
        """Paths of the parts that hold answers."""
        return [part["path"] for part in self.manifest["parts"] if not part["failed"]]

    def edit(self, path: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Write a part anew with other rows."""
        table = pq.read_table(self.folder / path)
        changed = pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema)
        sink = pa.BufferOutputStream()
        pq.write_table(changed, sink, compression="zstd")
        self.write(path, sink.getvalue().to_pybytes())

    def edit_row(self, number: int, **values: Any) -> str:
        """Change columns of one row of the first part; return where it is."""
        path, uid = self.parts()[0], ""

        def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            nonlocal uid
            uid = rows[number]["uid"]
            rows[number] |= {name: value(rows[number]) if callable(value) else value for name, value in values.items()}
            return rows

        self.edit(path, change)
        return f"{path} {uid}"

    def verify(self, **settings: Any) -> Verification:
        return verify(Ledger(Storage.open(str(self.folder))), VerifySettings(**settings))

    def mismatches(self, **settings: Any) -> dict[str, str]:
        """What does not agree, by the name of the check, as one text."""
        return self.named(self.verify(**settings))

    @staticmethod
    def named(found: Verification) -> dict[str, str]:
        """The same of a verification that was made already."""
        return {
            check.name: " | ".join(map(str, check.findings)) for check in found.checks if check.verdict == "mismatch"
        }


@pytest.fixture(scope="session")
def copy_of() -> Callable[..., Copy]:
    """`copy_of(folder)`: the folder itself, to be looked at or tampered with."""
    return Copy


@pytest.fixture(params=[True, False], ids=["digests made anew", "digests as they were"])
def copy(honest: Path, tmp_path: Path, request: Any) -> Copy:
    shutil.copytree(honest, tmp_path / "copy")
    return Copy(tmp_path / "copy", forged=request.param)


@pytest.fixture
def forged(honest: Path, tmp_path: Path) -> Copy:
    shutil.copytree(honest, tmp_path / "copy")
    return Copy(tmp_path / "copy")
