from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jobs.answer_evaluation import MAX_GROUPS, evaluate_answers
from mue_model.config import ConfigError
from mue_model.metrics.entailment import label_accuracy
from mue_model.metrics.vqa import VqaScores
from pipeline.receipts import LedgerError
from pipeline.row_field import RowField
from pipeline.spec import FieldsConfig

SHARD = "000000-a"
VE = FieldsConfig(hypothesis="json:ve[*].hypothesis", label="json:ve[*].label")
VQA = FieldsConfig(question="json:vqa[*].question", label="json:vqa[*].answers")
LEVEL = RowField.parse("json:level")


def image(job: Any, number: int, members: dict[str, Any], *queries: dict[str, Any], task: str) -> list[dict[str, Any]]:
    """The rows of one image, with its members on the first."""
    meta = json.dumps({"json": members})
    return [
        job.row(SHARD, number, uid=f"{SHARD}/{number}/{q}", query=q, task=task, meta_json=None if q else meta) | changes
        for q, changes in enumerate(queries)
    ]


@pytest.fixture
def answered(make_job: Callable[..., Any]) -> Any:
    """Three images with six hypotheses, of which one failed early, one in the model and one has no label."""
    job = make_job("answered", task="entailment", fields=VE)

    def lost(stage: str) -> dict[str, Any]:
        return {"status": "failed", "error_stage": stage, "error_code": "model_error", "text": None, "label": None}

    def ve(*labels: str | None) -> list[dict[str, Any]]:
        return [{"hypothesis": "x", "label": label} for label in labels]

    rows = image(
        job, 0, {"level": 1, "ve": ve("neutral", "entailment", "contradiction")},
        {"label": "neutral", "text": "maybe"}, {"label": "neutral", "text": "maybe"}, lost("infer"),
        task="entailment",
    )  # fmt: skip
    rows += image(
        job, 1, {"level": 2, "ve": ve("entailment", "-")},
        {"label": "entailment", "text": "yes"}, {"label": "entailment", "text": "yes"},
        task="entailment",
    )  # fmt: skip
    rows += image(job, 2, {"level": 2, "ve": ve("neutral")}, lost("decode"), task="entailment")
    job.commit("a1-0-0", *rows, job.end(SHARD, 3))
    return job


def test_every_row_is_in_exactly_one_count_and_beside_its_own_label(answered: Any) -> None:
    found = evaluate_answers(answered.ledger)
    assert found.rows == {"scored": 3, "unanswered": 1, "without_label": 1, "failed": 1, "filtered": 0}
    expected = [
        ("neutral", "neutral"),
        ("entailment", "neutral"),
        ("contradiction", None),
        ("entailment", "entailment"),
    ]
    assert found.scores == label_accuracy(expected)
    assert found.depths.rows == 4
    assert (found.health, found.task, found.label) == (None, "entailment", "json:ve[*].label")
    assert found.manifest_sha256 is None


def test_groups_have_scores_and_layers_of_their_own(answered: Any) -> None:
    one, two = evaluate_answers(answered.ledger, by=LEVEL).groups
    assert (one.name, one.depths.rows, two.name, two.depths.rows) == ("1", 2, "2", 2)
    assert one.scores == label_accuracy([("neutral", "neutral"), ("entailment", "neutral"), ("contradiction", None)])
    assert two.scores == label_accuracy([("entailment", "entailment")])


def test_answers_to_questions_are_marked_and_their_health_told(make_job: Callable[..., Any]) -> None:
    job = make_job("vqa", task="vqa", fields=VQA)
    questions = [{"question": "a", "answers": ["red"] * 10}, {"question": "b", "answers": ["two"] * 2 + ["three"] * 8}]
    cut = {"text": "", "finish_reason": "length"}
    job.commit(
        "a1-0-0",
        *image(job, 0, {"vqa": questions}, {"text": "red"}, {"text": "2"}, task="vqa"),
        *image(job, 1, {"vqa": questions[:1]}, cut, task="vqa"),
    )
    found = evaluate_answers(job.ledger)
    assert isinstance(found.scores, VqaScores)
    assert found.scores.accuracy == pytest.approx((1 + 0.6 + 0) / 3)
    assert found.health is not None
    assert (found.health.captions, found.health.empty, found.health.truncated) == (3, 1, 1)


def test_a_job_without_labels_says_how_to_name_them(make_job: Callable[..., Any]) -> None:
    job = make_job("bare", task="entailment", fields=FieldsConfig(hypothesis="json:ve[*].hypothesis"))
    members = {"ve": [{"hypothesis": "x", "label": "neutral"}]}
    job.commit("a1-0-0", *image(job, 0, members, {"label": "neutral"}, task="entailment"))
    with pytest.raises(ConfigError, match=r"the job has no inputs.fields.label.*--label 'json:ve\[\*\].label'"):
        evaluate_answers(job.ledger)
    assert evaluate_answers(job.ledger, label="json:ve[*].label").scores.accuracy == 1.0
    with pytest.raises(
        ConfigError, match=r"no label found in 1 rows: the first has \['x'\] at .*json:ve = \[1 entries"
    ):
        evaluate_answers(job.ledger, label="json:ve[*].hypothesis")
    with pytest.raises(ConfigError, match=r"inputs\.fields\.label 'json:': a JSON member needs a path"):
        evaluate_answers(job.ledger, label="json:")


def test_what_cannot_be_scored_is_said(make_job: Callable[..., Any]) -> None:
    job = make_job("empty", task="entailment", fields=VE)
    with pytest.raises(ConfigError, match=r"no row with an answer yet \(nothing is committed\)"):
        evaluate_answers(job.ledger)
    members = {"ve": [{"hypothesis": "x", "label": "neutral"}]}
    for name in ("a1-0-0", "a2-0-0"):
        job.commit(name, *image(job, 0, members, {"label": "neutral"}, task="entailment"))
    with pytest.raises(LedgerError, match="some rows are committed twice"):
        evaluate_answers(job.ledger)


def test_a_field_with_a_value_of_its_own_for_every_image_is_no_group(make_job: Callable[..., Any]) -> None:
    job = make_job("many", task="entailment", fields=VE)
    ve = [{"hypothesis": "x", "label": "neutral"}]
    rows = [
        image(job, n, {"n": n, "ve": ve}, {"label": "neutral"}, task="entailment")[0] for n in range(MAX_GROUPS + 1)
    ]
    job.commit("a1-0-0", *rows)
    with pytest.raises(ConfigError, match="more than 1,000 different values"):
        evaluate_answers(job.ledger, by=RowField.parse("json:n"))
    with pytest.raises(ConfigError, match="--by 'json:level': no row has that field"):
        evaluate_answers(job.ledger, by=LEVEL)
