from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.export_results import result_lines
from mue_model.config import ConfigError
from pipeline.receipts import LedgerError
from pipeline.spec import FieldsConfig


def _results(job: Any, **settings: Any) -> list[dict[str, Any]]:
    found = json.loads("".join(result_lines(job.ledger, **settings)))
    assert isinstance(found, list)
    return found


def test_coco_captions_have_numbers_for_ids(job: Any) -> None:
    job.commit(
        "a",
        job.row("000000-a", 0, key="000000000285", text="a bear"),
        job.failed_row("000000-a", 1),
        job.row("000000-a", 2, key="COCO_val2014_000000391895", text='a "man"'),
        job.row("000000-a", 3, key="folder/photo", text="ü"),
    )
    assert _results(job, format="coco") == [
        {"image_id": 285, "caption": "a bear"},
        {"image_id": 391895, "caption": 'a "man"'},
        {"image_id": "folder/photo", "caption": "ü"},
    ]
    # OFA's own code makes its ids texts.
    assert _results(job, format="ofa")[0] == {"image_id": "000000000285", "caption": "a bear"}


def test_an_id_of_two_rows_is_refused_and_named(finished: Any) -> None:
    with pytest.raises(LedgerError, match=r"4 ids by --id key .*\"key-0\" is 000000-a/0/0 and 000001-b/0/0.*--id uid"):
        _results(finished, format="coco")
    assert len(_results(finished, format="coco", id_from="uid")) == 9


def test_ids_that_are_equal_only_as_numbers_are_refused(job: Any) -> None:
    job.commit("a", job.row("000000-a", 0, key="0017"), job.row("000000-a", 1, key="17"))
    with pytest.raises(LedgerError, match="17 is 000000-a/0/0 and 000000-a/1/0"):
        _results(job, format="coco")


def test_ids_from_a_field(job: Any) -> None:
    job.commit("a", job.row("000000-a", 0, meta_json='{"json": {"image_id": 9}}'))
    assert _results(job, format="coco", id_from="json:image_id") == [{"image_id": 9, "caption": "a picture of\t0"}]
    with pytest.raises(ConfigError, match="row 000000-a/0/0 has no single text or number"):
        _results(job, format="coco", id_from="json:nothing")


def test_each_question_has_the_id_at_its_own_entry(make_job: Any) -> None:
    job = make_job(task="vqa", fields=FieldsConfig(question="json:vqa[*].question"))
    meta = json.dumps({"json": {"vqa": [{"question": "q", "id": 5}, {"question": "r", "id": 6}]}})
    second = job.row("000000-a", 0, uid="000000-a/0/1", query=1, text="two", meta_json=None, task="vqa")
    job.commit("a", job.row("000000-a", 0, text="one", meta_json=meta, task="vqa"), second)
    assert _results(job, format="ofa", id_from="json:vqa[*].id") == [
        {"question_id": 5, "answer": "one"},
        {"question_id": 6, "answer": "two"},
    ]


def test_labels_are_ofas_answers_and_coco_has_no_form_for_them(make_job: Any) -> None:
    job = make_job(task="entailment", fields=FieldsConfig(hypothesis="txt"))
    job.commit("a", job.row("000000-a", 0, text="yes", label="entailment", task="entailment"))
    assert _results(job, format="ofa") == [{"uniq_id": "000000-a/0/0", "answer": "entailment"}]
    with pytest.raises(ConfigError, match="coco has no form for task 'entailment'"):
        _results(job, format="coco")


def test_a_job_without_an_answer_gives_an_empty_list(job: Any) -> None:
    job.commit("a", job.failed_row("000000-a", 0))
    assert _results(job, format="coco") == []
