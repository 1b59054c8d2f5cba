"""Everything that people read of a stored report follows: its figures from the folder, its pages from its figures.

Pictures aside, which are of the inputs, and what is stated: factors, and where and when it was made.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from jobs.evidence import AT_HAND, evidence_of
from jobs.footprint_factors import FootprintFactors
from jobs.report_document import report_document
from jobs.report_gallery import gallery
from jobs.report_markdown import report_markdown
from jobs.report_page import report_page
from jobs.savings import Savings
from jobs.verify_check import Check, Finding, Tally
from pipeline.ledger import Ledger
from pipeline.storage import Storage

PAGE, MARKDOWN = "report/index.html", "report/report.md"
_OWN = ("schema_version", "output", "made", "mue", "verification", "examples")
"""Parts of the document that do not follow from the folder, or have a test of their own."""
_PICTURE = re.compile(
    r'<div class="picture">(?:<img src="data:image/jpeg;base64,[A-Za-z0-9+/=]*" width="\d+" height="\d+" '
    r'alt="Input picture of row [^"<>]*">|no picture|the (?:input|image) [A-Za-z :]{0,60})</div>'
)


def remade(ledger: Ledger, document: Mapping[str, Any], found: Savings) -> dict[str, Any]:
    """Return the parts of a report's document that follow from the folder and the factors that it states."""
    made = report_document(
        ledger,
        found,
        None,
        gallery(ledger, rows=int(document["examples"])),
        FootprintFactors.model_validate(document["footprint"]["factors"]),
        made=datetime.datetime.fromisoformat(document["made"]),
    )
    found_anew: dict[str, Any] = json.loads(json.dumps(made))
    return {name: value for name, value in found_anew.items() if name not in _OWN}


def tests_agree(claimed: Mapping[str, Any], checks: Sequence[Check], where: str, tally: Tally) -> None:
    """What the report says that tests found is what they find, and level and verdict follow from that."""
    then = [_check(document) for document in claimed["checks"]]
    now = {check.name: check for check in checks if check.claim and check.name not in (*AT_HAND, "report")}
    for check in then:
        if check.name in now and check != now[check.name]:
            tally.mismatch(f"{where}: verification: {check.name}", _told(now[check.name]), _told(check))
    tally.expect(
        f"{where}: verification.evidence", json.loads(json.dumps(evidence_of(then).document())), claimed["evidence"]
    )
    verdicts = {check.verdict for check in then}
    verdict = "mismatch" if "mismatch" in verdicts else "evidence missing" if "missing" in verdicts else "pass"
    tally.expect(f"{where}: verification.verdict", verdict, claimed["verdict"])


def pages_agree(storage: Storage, document: Mapping[str, Any], tally: Tally) -> None:
    """The page and the Markdown are those of the document, line by line."""
    for path, text in ((PAGE, report_page(document, {})), (MARKDOWN, report_markdown(document))):
        if not storage.exists(path):
            continue
        tally.look()
        stored = storage.read(path).decode("utf-8", "backslashreplace")
        lines = zip_longest(_without_pictures(text), _without_pictures(stored), fillvalue="")
        for number, (expected, found) in enumerate(lines, 1):
            if expected != found:
                tally.mismatch(f"{path}: line {number}", _around(expected, found), _around(found, expected))
                break


def _check(document: Mapping[str, Any]) -> Check:
    lists = {name: tuple(document[name]) for name in ("findings", "notes")}
    return Check(**{**document, **lists, "findings": tuple(Finding(**each) for each in document["findings"])})


def _told(check: Check) -> str:
    return f"{check.verdict}, {check.examined:,} examined; {'; '.join([*map(str, check.findings), *check.notes])[:200]}"


def _without_pictures(page: str) -> list[str]:
    return _PICTURE.sub("", page).splitlines()


def _around(line: str, other: str) -> str:
    """Return where one line begins to be unlike another."""
    pairs = enumerate(zip_longest(line, other))
    place = next((number for number, (one, two) in pairs if one != two), 0)
    return repr(line[max(0, place - 40) : place + 60])
