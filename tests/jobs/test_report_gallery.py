from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.audit_record import AUDIT_SCHEMA, AuditRecord
from jobs.report_gallery import gallery
from pipeline.manifest import file_digest

S = "000000-a"


def _shadow(text: str, agrees: bool) -> dict[str, Any]:
    return {"text": text, "n_tokens": 2, "layers": [6, 6, 4], "flops": 1000, "agrees": agrees}


def test_the_most_different_answers_come_first_each_row_once(job: Any) -> None:
    rows = [
        job.row(S, 0, text="two cats", shadow=_shadow("two cats", True)),
        job.row(S, 1, text="two cats", shadow=_shadow("two dogs", False)),
        job.row(S, 2, text="two cats", shadow=_shadow("a house", False)),
        job.failed_row(S, 3),
        job.row(S, 4, text="two cats", shadow=_shadow("two dogs", False)),
    ]
    job.commit("a", *rows[:2])
    job.commit("b", *rows[2:])
    shown = gallery(job.ledger, rows=6)
    assert [entry.row["uid"] for entry in shown if entry.group == "disagree"] == [f"{S}/2/0", f"{S}/1/0"]
    assert shown[0].full_depth == "a house"
    assert shown[0].difference == 1.0
    uids = [entry.row["uid"] for entry in shown]
    assert len(uids) == len(set(uids))
    assert f"{S}/3/0" not in uids


def test_the_shallowest_and_the_deepest_are_found_across_parts(job: Any) -> None:
    for number in range(8):
        # By the mean of all layers, however many tokens there are, and without a text stream too.
        layers = [1 + number % 4] * (1 + number)
        part = job.row(S, number, image_layers_run=1 + number % 4, text_layers_run=None, decoder_layers_run=layers)
        job.commit(f"p{number}", part)
    groups: dict[str, set[int]] = {}
    for entry in gallery(job.ledger, rows=12):
        groups.setdefault(entry.group, set()).add(entry.row["row_in_shard"])
    assert groups["shallow"] == {0, 4}
    assert groups["deep"] == {3, 7}
    assert groups["drawn"] == {1, 2, 5, 6}


def test_who_is_drawn_follows_from_the_job(job: Any) -> None:
    job.commit("a", *(job.row(S, n) for n in range(200)))
    drawn = [entry.row["uid"] for entry in gallery(job.ledger) if entry.group == "drawn"]
    assert drawn == [entry.row["uid"] for entry in gallery(job.ledger) if entry.group == "drawn"]
    assert len(drawn) == 8
    assert drawn != sorted(drawn)


def test_labels_differ_wholly(make_job: Any) -> None:
    job = make_job(task="entailment")
    job.commit("a", job.row(S, 0, task="entailment", text="yes", label="entailment", shadow=_shadow("neutral", False)))
    [entry] = gallery(job.ledger, rows=6)
    assert (entry.answer, entry.full_depth, entry.difference) == ("entailment", "neutral", 1.0)


def test_a_row_of_a_second_query_has_its_images_members(job: Any) -> None:
    first = job.failed_row(S, 0) | {"meta_json": '{"offset": 512}'}
    job.commit("a", first, job.row(S, 0, uid=f"{S}/0/1", query=1, meta_json=None))
    [entry] = gallery(job.ledger, rows=6)
    assert entry.row["meta_json"] == '{"offset": 512}'


def test_nothing_to_show(job: Any) -> None:
    assert gallery(job.ledger) == []
    job.commit("a", job.failed_row(S, 0))
    assert gallery(job.ledger) == []


def _audit(job: Any, found: list[dict[str, Any]]) -> None:
    """What `mue audit run` leaves."""
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(found, schema=AUDIT_SCHEMA), stream)
    record = AuditRecord(
        attempt="audit-1", began="2026-11-28T00:00:00", wall_s=1.0, fingerprint="f", parts_digest="d", seed=0,
        rates={"middle": 1.0}, rule_from="audit", margin=None, margin_from=None, rows_selected=2, rows_shadowed=2,
        rows_reproduced=2, packages={}, cores=1, shadows=file_digest(stream.getvalue()),
    )  # fmt: skip
    job.ledger.storage.write(record.shadows_path, stream.getvalue())
    job.ledger.storage.write(record.path, record.to_json())


def test_an_audit_after_the_run_tells_what_full_depth_says(job: Any) -> None:
    job.commit("a", *(job.row(S, n, text="two cats") for n in range(4)))
    common = {"image_sha256": None, "stratum": "middle", "reproduced": True}
    _audit(
        job,
        [
            common | {"uid": f"{S}/1/0", "answer": "two cats", "shadow": _shadow("two dogs", False)},
            common | {"uid": f"{S}/2/0", "answer": "two cats", "shadow": _shadow("two cats", True)},
            # Given another answer since: what the audit found is about a row that is no more.
            common | {"uid": f"{S}/3/0", "answer": "a house", "shadow": _shadow("two dogs", False)},
        ],
    )
    shown = {entry.row["row_in_shard"]: entry for entry in gallery(job.ledger, rows=12)}
    assert [number for number, entry in shown.items() if entry.group == "disagree"] == [1]
    assert {number: entry.full_depth for number, entry in shown.items()} == {
        0: None, 1: "two dogs", 2: "two cats", 3: None,
    }  # fmt: skip
