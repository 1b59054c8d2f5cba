from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from jobs.footprint_factors import FootprintFactors
from jobs.report import write_report
from pipeline.receipts import LedgerError

HOSTILE = "<script>alert('x')</script>\u202e \"'><img src=x onerror=alert(1)>"


class _Page(HTMLParser):
    """Every tag with its attributes, and the text beside them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], "a tag is not closed"

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        self.text += data.replace("\xa0", " ")


def _page(job: Any) -> _Page:
    return _Page((job.folder / "report/index.html").read_text("utf-8"))


def _hostile(job: Any) -> None:
    shadow = {"text": HOSTILE, "n_tokens": 2, "layers": [6, 6, 4], "flops": 1000, "agrees": False}
    job.commit(
        "a",
        job.row("000000-a", 0, key=HOSTILE, text=HOSTILE, prompt=HOSTILE, shadow=shadow),
        job.failed_row("000000-a", 1) | {"key": HOSTILE, "error_message": HOSTILE},
        job.end("000000-a", 2),
    )


def test_a_finished_job_has_files_that_agree(finished: Any) -> None:
    document = write_report(finished.ledger, FootprintFactors())
    names = sorted(path.name for path in (finished.folder / "report").iterdir())
    assert names == ["index.html", "manifest.json", "recompute.sql", "report.json", "report.md"]
    assert json.loads((finished.folder / "report/report.json").read_text()) == json.loads(json.dumps(document))
    page, markdown = _page(finished), (finished.folder / "report/report.md").read_text()
    assert document["verdict"]["headline"] in page.text
    assert document["verdict"]["headline"].replace("%", "%") in markdown.replace("\\", "")
    assert document["headline"]["flops_executed"] == "5400"
    assert "9 + 1 + 0 = 10 rows" in page.text
    assert "corrupt_image" in page.text


def test_the_manifest_does_not_vouch_for_a_report_and_stays_as_it_is(finished: Any) -> None:
    before = (finished.folder / "manifest.json").read_bytes()
    write_report(finished.ledger, FootprintFactors())
    assert finished.ledger.finalized(finished.plan)
    finished.finish()
    assert (finished.folder / "manifest.json").read_bytes() == before


def test_the_page_needs_no_network_and_runs_nothing(job: Any) -> None:
    _hostile(job)
    write_report(job.ledger, FootprintFactors())
    page = _page(job)
    assert "script" not in {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/jpeg;base64,")), (tag, value)
    policy = [attributes for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes]
    assert policy[0]["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not re.search(r"@import|url\(", (job.folder / "report/index.html").read_text())


def test_hostile_texts_are_shown_and_do_nothing(job: Any) -> None:
    _hostile(job)
    write_report(job.ledger, FootprintFactors())
    page = _page(job)
    assert page.text.count("<script>alert('x')</script>") >= 4, "as answer, at full depth, as key, in the failure"
    assert "img" not in {tag for tag, _ in page.tags}
    assert "\u202e" not in page.text
    markdown = (job.folder / "report/report.md").read_text()
    assert "<script" not in markdown
    assert "<img" not in markdown


def test_an_unfinished_job_says_so(job: Any) -> None:
    job.commit_shard("000000-a")
    document = write_report(job.ledger, FootprintFactors())
    assert not document["finished"]
    assert "The job is not finished" in _page(job).text
    assert document["provenance"]["manifest_sha256"] is None


def test_an_empty_job_has_a_report_too(job: Any) -> None:
    document = write_report(job.ledger, FootprintFactors())
    assert document["savings"]["a_same_length_flops"]["share_net"] is None
    assert "nothing to compare" in _page(job).text
    assert "No answered row to show" in _page(job).text


def test_unknown_is_shown_as_unknown(finished: Any) -> None:
    write_report(finished.ledger, FootprintFactors())
    page = _page(finished)
    assert "not measured" in page.text
    assert page.text.count("unknown") >= 10
    assert "0 kWh" not in page.text
    assert "0 g CO2e" not in page.text


def test_rows_that_are_committed_twice_are_no_basis(job: Any) -> None:
    job.commit("a", job.row("000000-a", 0))
    job.commit("b", job.row("000000-a", 0))
    with pytest.raises(LedgerError, match="committed twice"):
        write_report(job.ledger, FootprintFactors())


def test_a_report_is_tested_itself_and_not_the_one_before_it(job: Any) -> None:
    job.commit_shard("000000-a")
    write_report(job.ledger, FootprintFactors())
    job.commit_shard("000001-b")
    job.finish()
    checks = {check["name"]: check for check in write_report(job.ledger, FootprintFactors())["verification"]["checks"]}
    assert checks["headline"]["verdict"] == "pass", checks["headline"]


def test_a_report_is_replaced_by_the_next(finished: Any) -> None:
    write_report(finished.ledger, FootprintFactors(), examples=0, pictures=False)
    assert "Drawn by lot" not in _page(finished).text
    write_report(finished.ledger, FootprintFactors())
    assert "Drawn by lot" in _page(finished).text


def test_overheads_with_files_gone_are_at_least_what_is_said(job: Any) -> None:
    job.commit("a1-0-0", *[job.row("000000-a", n) for n in range(5)], job.end("000000-a", 5))
    job.commit("a2-0-0", *[job.row("000000-a", n, attempt_id="a2") for n in (1, 2)])
    job.commit_shard("000001-b")
    job.finish()
    write_report(job.ledger, FootprintFactors())
    for name in ("index.html", "report.md", "recompute.sql"):
        assert "at least" not in (job.folder / "report" / name).read_text().lower(), name

    (job.folder / "data/a2-0-0.parquet").unlink()
    write_report(job.ledger, FootprintFactors())
    page, markdown = _page(job).text, (job.folder / "report/report.md").read_text()
    assert "1 of their files gone or unreadable" in page
    assert "at least 0" in page
    assert re.search(r"Net\s*at most ", page)
    assert "count, at least (1 of their files gone or unreadable)" in markdown.replace("\\", "")
    assert "| net, at most |" in markdown
    assert "-- At least: 1 of those files" in (job.folder / "report/recompute.sql").read_text()


def test_a_single_shadow_has_no_bounds_and_a_report(job: Any) -> None:
    audited = job.plan.model_copy(update={"audit_rates": dict.fromkeys(("shallow", "middle", "deep", "full"), 1.0)})
    (job.folder / "plan.json").write_bytes(audited.to_json())
    shadow = {"text": "a picture of\t0", "n_tokens": 3, "layers": [6, 6, 4], "flops": 1000, "agrees": True}
    job.commit("a", job.row("000000-a", 0, shadow=shadow), job.end("000000-a", 1))
    document = write_report(job.ledger, FootprintFactors())
    assert document["savings"]["b_counterfactual"]["length_ratio"]["high"] is None
    assert "(no bound to no bound)" in _page(job).text
    assert "None" not in (job.folder / "report/report.md").read_text().replace("manifest\\_sha256: `None`", "").replace(
        "manifest_sha256: `None`", ""
    )
