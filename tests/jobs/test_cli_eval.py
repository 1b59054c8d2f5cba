from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from pipeline.spec import FieldsConfig


@pytest.fixture
def captioned(job: Any) -> Any:
    for shard_id in ("000000-a", "000001-b"):
        rows = [
            job.row(
                shard_id, n, key=f"{shard_id}-{n}", meta_json=json.dumps({"json": {"captions": ["a cat"], "level": n}})
            )
            for n in range(5)
        ]
        job.commit(f"a1-{shard_id}-0", *rows, job.end(shard_id, 5))
    job.finish()
    return job


def test_scores_are_data_and_notes_are_not(mue: Callable[..., Result], captioned: Any) -> None:
    text, facts = mue("eval", captioned.folder), mue("eval", captioned.folder, "--json", "--by", "json:level")
    assert text.exit_code == facts.exit_code == 0
    assert "CIDEr-D" in text.stdout
    assert "texts mean nothing" in text.stderr
    found = json.loads(facts.stdout)
    assert (found["rows"]["scored"], len(found["groups"])) == (10, 5)
    assert mue("eval", captioned.folder, "-q").stderr == ""


def test_figures_are_saved_with_their_digests(mue: Callable[..., Result], captioned: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "one.json", tmp_path / "two.json"
    for path in (first, second):
        assert f"figures written to {path}" in mue("eval", captioned.folder, "--save", path).stderr
    assert first.read_bytes() == second.read_bytes()
    saved = json.loads(first.read_text())
    assert saved["fingerprint"] == captioned.plan.fingerprint
    assert saved["rows"]["committed"] == 10
    assert saved == json.loads(mue("eval", captioned.folder, "--json").stdout)


def test_pre_tokenised_text_is_taken_as_it_is(mue: Callable[..., Result], captioned: Any) -> None:
    found = json.loads(mue("eval", captioned.folder, "--json", "--pre-tokenised").stdout)
    assert found["tokeniser"] == "pre_tokenised"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--references", "json:nothing"], "Fields of a row: json:captions = [1 texts], json:level = 0"),
        (["--references", "refs.json"], "named *.jsonl"),
        (["--by", "json"], "--by 'json': a JSON member needs a path"),
        (["--by", "json:nothing"], "no row has that field"),
    ],
)
def test_mistakes_end_with_2_and_nothing_on_stdout(
    mue: Callable[..., Result], captioned: Any, options: list[str], said: str
) -> None:
    result = mue("eval", captioned.folder, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


@pytest.fixture
def answered(make_job: Callable[..., Any]) -> Any:
    """Two images with a right and a wrong answer each; the second hypothesis of the first has no label."""
    fields = FieldsConfig(hypothesis="json:ve[*].h", label="json:ve[*].label")
    job = make_job("answered", task="entailment", fields=fields)
    for shard_id, labels in (("000000-a", ["neutral", "?"]), ("000001-b", ["neutral", "entailment"])):
        meta = json.dumps({"json": {"level": int(shard_id[5]), "ve": [{"h": "x", "label": label} for label in labels]}})
        rows = [
            job.row(shard_id, 0, uid=f"{shard_id}/0/{q}", query=q, label="neutral", meta_json=None if q else meta)
            for q in (0, 1)
        ]
        job.commit(f"a1-{shard_id}", *rows, job.end(shard_id, 1))
    job.finish()
    return job


def test_answers_are_scored_by_labels(mue: Callable[..., Result], answered: Any, tmp_path: Path) -> None:
    saved = tmp_path / "scores.json"
    text = mue("eval", answered.folder, "--by", "json:level", "--save", saved)
    assert text.exit_code == 0, text.stderr
    assert "66.7 %; always the commonest label: 66.7 %" in text.stdout
    assert "1 rows have no label at json:ve[*].label" in text.stderr
    found = json.loads(mue("eval", answered.folder, "--by", "json:level", "--json").stdout)
    assert found == json.loads(saved.read_text())
    assert (found["task"], found["rows"]["committed"], found["rows"]["scored"]) == ("entailment", 4, 3)
    assert found["scores"]["confusion"]["entailment"] == {"entailment": 0, "neutral": 1, "contradiction": 0}
    assert [(group["group"], group["scores"]["accuracy"]) for group in found["groups"]] == [("0", 1.0), ("1", 0.5)]
    assert "texts mean nothing" in found["notes"][0]


def test_each_task_has_its_own_option(mue: Callable[..., Result], answered: Any, captioned: Any) -> None:
    wrong = mue("eval", answered.folder, "--references", "txt")
    assert (wrong.exit_code, "--references is of captions, but the job's task was entailment" in wrong.stderr) == (
        2,
        True,
    )
    wrong = mue("eval", captioned.folder, "--label", "txt")
    assert (wrong.exit_code, "--label is of entailment and VQA, but this job made captions" in wrong.stderr) == (
        2,
        True,
    )
    other = mue("eval", answered.folder, "--label", "json:nothing")
    assert other.exit_code == 2
    assert "no label found in 4 rows" in other.stderr


def test_a_folder_without_a_job_is_said(mue: Callable[..., Result], tmp_path: Path) -> None:
    result = mue("eval", tmp_path)
    assert result.exit_code == 2
    assert "no job here" in result.stderr
