"""`report/recompute.sql`: the headline in plain SQL over exactly the manifest's parts, for an auditor's own duckdb."""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Any

from jobs.savings import Savings
from pipeline.storage import Storage

RECOMPUTE = "report/recompute.sql"


def recompute_sql(found: Savings) -> str:
    """Return the script for the job that `found` is about; its only figure is the work that is in no live part."""
    text = (files("jobs") / "recompute.sql").read_text("utf-8")
    lost = found.discarded.files_unreadable
    bound = (
        f"\n-- At least: {lost} of those files are gone or unreadable, so flops_net is at most what it says."
        if lost
        else ""
    )
    return Template(text).substitute(discarded=f"{found.discarded.flops}::HUGEINT", bound=bound)


def recomputed(storage: Storage, script: str, *, queries: int | None = None) -> list[list[dict[str, Any]]]:
    """Return the rows of each query of `script`, run by duckdb over the output folder; memory is bounded.

    Args:
        storage: The output folder.
        script: What `recompute_sql` returned.
        queries: Only the first so many of them.

    Raises:
        duckdb.Error: A file is not there, is no Parquet file or lacks a column.
    """
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET threads = 2")
    connection.execute("SET memory_limit = '1GB'")
    root = storage.url.replace("'", "''") + "/"
    if "://" in root:
        import fsspec

        connection.register_filesystem(fsspec.url_to_fs(storage.url)[0])
    found = []
    for statement in connection.extract_statements(
        script.replace("SET VARIABLE root = ''", f"SET VARIABLE root = '{root}'")
    ):
        result = connection.execute(statement)
        if statement.type == duckdb.StatementType.SELECT:
            names = [column[0] for column in result.description]
            found.append([dict(zip(names, row, strict=True)) for row in result.fetchall()])
            if len(found) == queries:
                break
    connection.close()
    return found
