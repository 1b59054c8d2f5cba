"""The stored report is of this folder as it is now: its script, its savings, and no more evidence than there is.

One of an earlier state fails too, but is told from a forged one: what that state was can be shown, or it is no excuse.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from jobs.earlier_state import THEN, NoEarlierState, earlier_state
from jobs.evidence import evidence_of, with_all_at_hand
from jobs.recompute_sql import RECOMPUTE, recompute_sql
from jobs.savings import Savings, savings
from jobs.verify_check import Check, Tally
from jobs.verify_folder import Folder
from jobs.verify_headline import REPORT
from jobs.verify_report_texts import MARKDOWN, PAGE, pages_agree, remade, tests_agree
from pipeline.canonical_json import digest_of
from pipeline.ledger import MANIFEST, Ledger
from pipeline.storage import Storage

_CLOSE = 1e-6
"""Between two machines' libraries: intervals are no integers."""
_ANEW = "'mue report OUT' writes it anew"


def is_reported(folder: Folder) -> bool:
    """Return whether there is a report."""
    return any(folder.ledger.storage.exists(path) for path in (REPORT, RECOMPUTE, PAGE, MARKDOWN))


def report_agrees(
    folder: Folder,
    tally: Tally,
    *,
    found: Savings,
    checks: Sequence[Check],
    tests: Callable[[Ledger], Sequence[Check]] = lambda ledger: (),
    is_written: bool = True,
) -> None:
    """The report's script, figures and evidence level are those found now, and its pages are those of its figures.

    Of a report that says to be of an earlier state, that state is tested with `tests`, and the report held against it:
    where all agrees, what is missing is a report of now. Not `is_written`: it has figures alone so far.
    """
    storage = folder.ledger.storage
    document = json.loads(storage.read(REPORT)) if storage.exists(REPORT) else {}
    now, claimed = digest_of(storage.read(MANIFEST)), document.get("provenance", {}).get("manifest_sha256")
    if not document or claimed == now:
        _agrees(folder.ledger, document, found, checks, tally, is_written=is_written, storage=storage)
        return
    try:
        then = earlier_state(folder, claimed)
    except NoEarlierState as error:
        tally.mismatch(f"{REPORT}: provenance.manifest_sha256", f"{now}, of {MANIFEST}", f"{claimed}; {error}; {_ANEW}")
        _agrees(folder.ledger, document, found, checks, tally, is_written=is_written, storage=storage)
        return
    tested = tests(then)
    for check in tested:
        if check.verdict in ("mismatch", "missing"):
            tally.mismatch(f"{THEN}: {check.name}", "an earlier state of this folder, whole", check.findings[0])
    found_then = savings(then)
    # In the script's place: the state of now has shown that both give the same.
    census = Check(name="headline", claim="", verdict="pass", examined=1)
    _agrees(then, document, found_then, [*tested, census], tally, is_written=is_written, storage=storage)
    rows = found_then.total.rows_ok
    tally.missing(
        REPORT,
        f"a report of this folder as it is now ({found.total.rows_ok:,} rows ok, manifest {now[:16]})",
        f"one of an earlier state of it ({rows:,} rows ok, manifest {str(claimed)[:16]}); {_ANEW}",
    )


def _agrees(
    ledger: Ledger,
    document: Mapping[str, Any],
    found: Savings,
    checks: Sequence[Check],
    tally: Tally,
    *,
    is_written: bool,
    storage: Storage,
) -> None:
    """Hold script, figures, evidence level and pages against one state of the folder."""
    if storage.exists(RECOMPUTE):
        _script(storage.read(RECOMPUTE), recompute_sql(found).encode(), document, tally)
    if not document:
        for page in (PAGE, MARKDOWN):
            if is_written and storage.exists(page):
                tally.missing(REPORT, f"what {page} was made from")
        return
    is_own = document.get("mue") == importlib.metadata.version("mue")
    for part, figures in remade(ledger, document, found).items():
        now, said = dict(_leaves(figures)), dict(_leaves(document.get(part)))
        for name in {**now, **said} if is_own else now.keys() & said.keys():
            tally.look()
            if name not in now or name not in said or not _same(now[name], said[name]):
                tally.mismatch(f"{REPORT}: {part}{name}", now.get(name, "nothing"), said.get(name, "nothing"))
    if not is_written:
        return
    if document["verification"] is None:
        tally.missing(REPORT, "what tests found when it was made", f"nothing: it was not finished; {_ANEW}")
        return
    _level(document["verification"]["evidence"], checks, tally)
    if is_own:
        tests_agree(document["verification"], checks, REPORT, tally)
        pages_agree(storage, document, tally)
    else:
        here = importlib.metadata.version("mue")
        tally.missing(REPORT, f"pages that mue {here} can compare", f"those of mue {document.get('mue')}; {_ANEW}")


def _script(stored: bytes, made: bytes, document: Mapping[str, Any], tally: Tally) -> None:
    tally.look()
    if stored == made:
        return
    version, own = document.get("mue"), importlib.metadata.version("mue")
    if version is not None and version != own:
        tally.not_checked(f"{RECOMPUTE} was written by mue {version}, this is {own}: 'mue report OUT' writes it anew")
        return
    lines = zip_longest(made.splitlines(keepends=True), stored.splitlines(keepends=True), fillvalue=b"")
    number, (expected, other) = next((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
    tally.mismatch(f"{RECOMPUTE}: line {number}", _shown(expected), _shown(other))


def _level(claimed: Mapping[str, Any], checks: Sequence[Check], tally: Tally) -> None:
    """A report may rest on inputs, a model and rows run again that are not at hand here, and on nothing else."""
    tally.look()
    level, here, most = int(claimed["level"]), evidence_of(checks).level, evidence_of(with_all_at_hand(checks)).level
    if not str(claimed["name"]).startswith(f"L{level} "):
        tally.mismatch(f"{REPORT}: evidence", f"the name of L{level}", claimed["name"])
    if level > most:
        tally.mismatch(f"{REPORT}: evidence level", f"L{most} at most", f"L{level}")
    elif level > here:
        tally.note(f"it claims L{level}; with what is at hand here L{here} is found")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with the way to it; bounds that are none are null."""
    if isinstance(value, Mapping):
        inner = [(f".{key}", each) for key, each in value.items()]
    elif isinstance(value, (list, tuple)):
        inner = [(f"[{place}]", each) for place, each in enumerate(value)]
    else:
        yield name, None if isinstance(value, float) and not math.isfinite(value) else value
        return
    for step, each in inner:
        yield from _leaves(each, name + step)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE**2)
    return bool(one == other)


def _shown(line: bytes) -> str:
    return repr(line.decode(errors="replace").strip()[:200])
