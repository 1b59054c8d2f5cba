from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from pipeline.ledger import Ledger
from pipeline.part_damage import damaged_parts
from pipeline.storage import Storage

A = "000000-a"


def test_missing_cut_and_changed_parts_are_told_apart(tmp_path: Path, make_table: Callable[..., pa.Table]) -> None:
    ledger = Ledger(Storage.open(str(tmp_path / "out")))
    for row in range(6):
        ledger.commit(make_table({A: [row]}), name=f"a-{row}", attempt="a", fingerprint="f")
    ledger.commit(make_table({}, {A: 6}), name="end", attempt="a", fingerprint="f")
    ledger.commit(make_table({A: [4]}), name="b", attempt="b", fingerprint="f", replaces=["data/a-4.parquet"])
    storage = ledger.storage
    storage.delete("data/a-1.parquet")
    storage.write("data/a-2.parquet", b"PAR1")
    data = storage.read("data/a-3.parquet")
    storage.write("data/a-3.parquet", data[:-30] + b"?" + data[-29:])
    storage.delete("data/a-4.parquet")  # it was replaced: nobody needs it

    def found(*, read_bytes: bool) -> dict[str, str]:
        damages = damaged_parts(storage, ledger.receipts(), read_bytes=read_bytes)
        return {damage.receipt.id: damage.what.split(",")[0] for damage in damages}

    by_size = {"a-1": "is missing", "a-2": "has 4 bytes"}
    changed = {"a-3": "has other bytes than were committed (its SHA-256 differs)"}
    assert found(read_bytes=False) == by_size
    assert found(read_bytes=True) == by_size | changed
