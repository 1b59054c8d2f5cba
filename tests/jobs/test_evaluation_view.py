from __future__ import annotations

import io
import json
from functools import partial
from typing import Any

import pytest
from rich.console import Console

from jobs.evaluation import Evaluation, evaluate
from jobs.evaluation_view import evaluation_facts, evaluation_view, notes
from jobs.references import open_references
from pipeline.row_field import RowField


@pytest.fixture
def evaluation(job: Any) -> Evaluation:
    for number, (level, caption) in enumerate(
        [("easy", "a cat"), ("easy", "two dogs run"), ("\x1b[31mhard", "a bird")]
    ):
        meta = json.dumps({"json": {"captions": ["a cat", caption + " there"], "level": level}})
        job.commit(f"a1-0-{number}", job.row("000000-a", number, text=caption, meta_json=meta))
    job.commit("a1-0-3", job.row("000000-a", 3, meta_json='{"json": {"level": "none"}}'), job.failed_row("000000-a", 4))
    return evaluate(
        job.ledger, partial(open_references, "json:captions"), by=RowField.parse("json:level", option="--by")
    )


def rendered(evaluation: Evaluation) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(evaluation_view(evaluation))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_table_and_facts_say_the_same(evaluation: Evaluation) -> None:
    text, facts = rendered(evaluation), json.loads(json.dumps(evaluation_facts(evaluation), allow_nan=False))
    assert "rows                     5: 3 scored, 1 without references, 1 failed" in text
    assert facts["rows"]["committed"] == 5
    assert facts["rows"]["scored"] == facts["scores"]["rows"] == 3
    assert f"{facts['scores']['cider_d']:.4f}, of 10; rarity over all 3 scored rows" in text
    bleu = "  ".join(f"{facts['scores'][f'bleu_{n}']:.4f}" for n in range(1, 5))
    assert bleu in text
    assert f"{facts['mean_layers']['decoder']:.2f} of 4 per token" in text
    assert facts["references"]["texts_scored"] == 6
    for digest in (facts["fingerprint"], facts["references"]["sha256"]):
        assert len(digest) == 64


def test_groups_have_a_line_each(evaluation: Evaluation) -> None:
    lines = rendered(evaluation).splitlines()
    head = next(line for line in lines if line.startswith("json:level"))
    assert head.split()[1:5] == ["rows", "scored", "CIDEr-D", "BLEU-4"]
    easy = next(line for line in lines if line.startswith("easy"))
    assert easy.split()[1:3] == ["2", "2"]
    assert easy.split()[-3:] == ["2.00", "4.00", "2.00"]
    unscored = next(line for line in lines if line.startswith("none"))
    assert unscored.split()[1:7] == ["1", "0", "-", "-", "-", "-"]
    assert [group["group"] for group in evaluation_facts(evaluation)["groups"]] == ["\x1b[31mhard", "easy", "none"]
    assert "\x1b" not in "".join(lines)


def test_what_a_reader_must_know_is_said(evaluation: Evaluation, job: Any) -> None:
    said = "; ".join(notes(evaluation))
    for part in (
        "is untrained: texts mean nothing",
        "not finished",
        "1 rows failed or were filtered",
        "1 rows have no references",
    ):
        assert part in said
    assert "CIDEr-D of a single row" not in said


def test_one_row_has_no_cider(make_job: Any) -> None:
    job = make_job("one", untrained=False)
    job.commit("a1-0-0", job.row("000000-a", 0, text="a cat", meta_json='{"txt": "a cat"}'))
    found = evaluate(job.ledger, partial(open_references, "txt"))
    assert found.scores.cider_d == 0.0
    assert found.scores.exact_match == 1.0
    assert any("CIDEr-D of a single row is 0 by definition" in note for note in notes(found))
    assert not any("untrained" in note for note in notes(found))
