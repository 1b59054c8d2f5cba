"""Writes a job's report into its folder: a page, its figures as JSON and Markdown, and the SQL that recomputes them."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from typing import Any

from jobs.earlier_state import THEN
from jobs.evaluation import refuse_overlaps
from jobs.footprint_factors import FootprintFactors
from jobs.recompute_sql import RECOMPUTE, recompute_sql
from jobs.report_document import report_document
from jobs.report_gallery import gallery
from jobs.report_markdown import report_markdown
from jobs.report_page import report_page
from jobs.savings import savings
from jobs.thumbnails import thumbnails
from jobs.verify import VerifySettings, verify
from pipeline.ledger import MANIFEST, Ledger

FOLDER = "report"
REPORT_JSON = f"{FOLDER}/report.json"


def write_report(
    ledger: Ledger,
    factors: FootprintFactors,
    verifying: VerifySettings | None = None,
    *,
    examples: int = 24,
    pictures: bool = True,
) -> dict[str, Any]:
    """Write `report/` anew and return its document.

    Args:
        ledger: The job, finished or not.
        factors: What is stated about power, prices and the grid.
        verifying: What is at hand for the tests that the evidence level rests on.
        examples: About how many rows are shown.
        pictures: Read their images again from the inputs, where those can be had.

    Raises:
        LedgerError: Rows are committed twice at the moment, or a part cannot be read.
    """
    refuse_overlaps(ledger)
    found, shown = savings(ledger), gallery(ledger, rows=examples)
    made = datetime.datetime.now(datetime.UTC)
    # The tests hold the report's headline against the rows, so it is written before they run.
    asked = {"examples": examples}
    untested = report_document(ledger, found, None, shown, factors, made=made) | asked
    _write(ledger, {REPORT_JSON: _json(untested), RECOMPUTE: recompute_sql(found)})
    _keep_manifest(ledger)
    tested = verify(ledger, replace(verifying or VerifySettings(), report_is_begun=True))
    document: dict[str, Any] = json.loads(
        _json(report_document(ledger, found, tested, shown, factors, made=made) | asked)
    )
    small = thumbnails(ledger.plan(), [entry.row for entry in shown]) if pictures else {}
    _write(
        ledger,
        {
            f"{FOLDER}/index.html": report_page(document, small),
            f"{FOLDER}/report.md": report_markdown(document),
            REPORT_JSON: _json(document),
        },
    )
    return document


def _keep_manifest(ledger: Ledger) -> None:
    """Keep what the report is made from: a later state of the folder can then be told from a forged report."""
    if ledger.storage.exists(MANIFEST):
        ledger.storage.write(THEN, ledger.storage.read(MANIFEST))
    else:
        ledger.storage.delete(THEN)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _write(ledger: Ledger, files: dict[str, str]) -> None:
    for name, text in files.items():
        ledger.storage.write(name, text.encode("utf-8", "backslashreplace"))
