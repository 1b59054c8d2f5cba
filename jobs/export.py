"""Committed rows as text lines, streamed part by part: JSON objects, CSV, or uid, key and text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow.compute as pc

from mue_model.config import ConfigError
from pipeline.ledger import Ledger
from pipeline.records import ROW_SCHEMA, RowStatus
from pipeline.shared_meta import with_meta_json

Format = Literal["jsonl", "txt", "csv"]
RowsWanted = Literal["ok", "all"]
_TXT_COLUMNS = ["uid", "key", "text", "status"]


def export_lines(ledger: Ledger, *, format: Format, status: RowsWanted = "ok") -> Iterator[str]:
    """Yield one line per row, newline included, in the order of the parts: join by uid or key, never by position.

    `jsonl`: all columns of the row, with what came with its image. `csv`: the same under a header line, lists and
    structs as JSON, nothing where there is no value. `txt`: uid, key and text with tabs between; white
    space in a text becomes a space, and a row without a text has an empty one.
    """
    if format == "csv":
        yield _csv(ROW_SCHEMA.names)
    for part in ledger.read_live(_TXT_COLUMNS if format == "txt" else None):
        table = part if format == "txt" else with_meta_json(part)
        rows = table if status == "all" else table.filter(pc.equal(table["status"], RowStatus.OK.value))
        for batch in rows.to_batches(max_chunksize=1024):
            for row in batch.to_pylist():
                yield _LINE[format](row)


def write_lines(lines: Iterable[str], path: str) -> int:
    """Write `lines` to the local file `path`, whole or not at all; return how many there were.

    Raises:
        ConfigError: The file cannot be written.
    """
    target = Path(path).expanduser().absolute()
    temporary = target.with_name(f".{target.name}.part")
    count = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8") as file:
                for line in lines:
                    file.write(line)
                    count += 1
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"--to {path}: cannot be written: {error.strerror or error}") from error
    return count


def _txt(row: dict[str, Any]) -> str:
    return "\t".join(" ".join(str(row[name] or "").split()) for name in ("uid", "key", "text")) + "\n"


def _jsonl(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _csv_row(row: dict[str, Any]) -> str:
    return _csv(_cell(row[name]) for name in ROW_SCHEMA.names)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _csv(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()


_LINE = {"jsonl": _jsonl, "csv": _csv_row, "txt": _txt}
