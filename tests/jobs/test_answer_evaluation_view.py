from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from rich.console import Console

from jobs.answer_evaluation import evaluate_answers
from jobs.answer_evaluation_view import answer_evaluation_facts, answer_evaluation_view, answer_notes
from pipeline.row_field import RowField
from pipeline.spec import FieldsConfig


def shown(evaluation: Any) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(answer_evaluation_view(evaluation))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_answers_to_questions_have_their_accuracy_and_their_health(make_job: Callable[..., Any]) -> None:
    job = make_job("vqa", task="vqa", fields=FieldsConfig(question="json:q", label="json:a"))
    for number, text in enumerate(["red", "red", "", "blue"]):
        meta = json.dumps({"json": {"q": "x", "a": ["red"] * 10, "level": number % 2}})
        job.commit(f"a1-{number}", job.row("000000-a", number, task="vqa", text=text, meta_json=meta))
    job.commit("a1-9", job.failed_row("000000-a", 4), job.row("000000-a", 5, task="vqa", meta_json="{}"))
    found = evaluate_answers(job.ledger, by=RowField.parse("json:level"))
    text, facts = shown(found), answer_evaluation_facts(found)
    for said in ("vqa; labels at json:a", "soft accuracy", "50.0 %", "6: 4 scored, 1 without label, 1 failed"):
        assert said in text
    assert "2 x 'red'" in text
    assert "is, answered" not in text
    assert (facts["scores"]["accuracy"], facts["health"]["empty"], facts["rows"]["committed"]) == (0.5, 1, 6)
    assert [(group["group"], group["rows"]) for group in facts["groups"]] == [("0", 2), ("1", 2), ("(none)", 1)]
    assert facts["notes"] == answer_notes(found)
    assert [note.split(":")[0] for note in facts["notes"][1:]] == [
        "the job is not finished",
        "1 rows failed before they were asked, or were filtered",
        "1 rows have no label at json",
    ]
    json.dumps(facts)


def test_labels_have_their_confusion(make_job: Callable[..., Any]) -> None:
    job = make_job("ve", task="entailment", fields=FieldsConfig(hypothesis="txt", label="json:label"))
    lost = {"status": "failed", "error_stage": "infer", "error_code": "model_error"}
    answers: list[dict[str, Any]] = [{"label": "entailment"}, {"label": "neutral"}, lost]
    for number, answer in enumerate(answers):
        row = job.row("000000-a", number, task="entailment", meta_json='{"json": {"label": "neutral"}}')
        job.commit(f"a1-{number}", row | answer)
    job.commit_bad_shard("000001-b")
    found = evaluate_answers(job.ledger)
    text = shown(found)
    for said in ("accuracy", "33.3 %", "1: they count as wrong", "is, answered", "contradiction"):
        assert said in text
    assert any("1 shards could not be read whole" in note for note in answer_notes(found))
