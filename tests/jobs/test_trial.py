"""A model tried on labelled shards, with the built-in model: what is asked, what is counted, what is refused."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from jobs.references import open_references
from jobs.trial import Trial, run_trial
from jobs.trial_questions import Questions, trial_spec
from mue_model import costs
from mue_model.config import ConfigError, EngineConfig, ExitConfig, GenerationConfig
from mue_model.engine.engine import Engine
from mue_model.loading import build_engine
from mue_model.metrics.entailment import LabelAccuracy
from mue_model.metrics.vqa import VqaScores
from mue_model.model_names import model_facts
from mue_model.prompts import ENTAILMENT_ANSWERS
from mue_model.rows import ExitTrace, RowError, RowInput, RowResult
from pipeline.row_field import RowField

FACTS = model_facts("seeded")
TRACE = ExitTrace(
    grid=(8, 8),
    prompt_tokens=9,
    image=2,
    text=3,
    decoder=(4,),
    checks=(2, 3, 4),
    kv_fills=0,
    cross_kv_layers=4,
    candidates=3,
    target_length=9,
    target_tokens=11,
    scored_tokens=1,
)
LABELS = ["entailment", "neutral", "contradiction"]


def image(number: int) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(number).integers(256, size=(40, 56, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(path: Path, rows: list[dict[str, Any]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for number, facts in enumerate(rows):
            picture = facts.pop("picture", image(number))
            for suffix, data in (("png", picture), ("json", json.dumps(facts).encode())):
                member = tarfile.TarInfo(f"row{number}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Six rows on two levels, three hypotheses each; the picture of the last is broken."""
    rows: list[dict[str, Any]] = [
        {
            "captions": [f"a picture of {number}", "another"],
            "level": 1 + number % 2,
            "ve": [{"hypothesis": f"there is {label} {number}", "label": label} for label in LABELS],
        }
        for number in range(5)
    ]
    rows.append({"captions": ["never seen"], "level": 1, "picture": b"no picture"})
    return write_shard(tmp_path / "00000.tar", rows)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return build_engine(FACTS, FACTS.exits("default"), GenerationConfig(), EngineConfig(device="cpu", group_size=4))


def ask(questions: Any, engine: Any, **settings: Any) -> Trial:
    references = open_references("json:captions", ())
    return run_trial(questions, engine, FACTS.config, references, task=questions.task, **settings)


def test_captions_are_asked_once_an_image_and_scored_by_group(shard: Path, engine: Engine) -> None:
    questions = Questions(trial_spec([str(shard)], "caption"), FACTS)
    trial = ask(questions, engine, by=RowField.parse("json:level", option="--by"), keep=2)
    assert questions.skipped == 1
    assert (trial.all.rows, trial.failed, trial.without_references) == (5, 0, 0)
    assert {name: scores.rows for name, scores in trial.groups.items()} == {"1": 3, "2": 2}
    assert trial.all.captions is not None
    assert trial.all.answers is None
    assert [question.key for question, _ in trial.answers] == ["row0", "row1"]
    assert trial.model_s > 0


def test_compute_is_the_sum_over_the_answers(shard: Path, engine: Engine) -> None:
    trial = ask(Questions(trial_spec([str(shard)], "entailment"), FACTS), engine, keep=99)
    flops = [costs.row_flops(FACTS.config, result.trace) for _, result in trial.answers if result.trace]
    assert trial.all.rows == len(flops) == 15
    assert trial.all.flops_executed == sum(cost.executed for cost in flops)
    assert trial.all.flops_full_same_length == sum(cost.full_same_length for cost in flops)
    assert 0 < trial.all.executed_share < 1
    assert trial.all.depths.mean("image_layers_run") == np.mean([r.trace.image for _, r in trial.answers if r.trace])
    assert len({result.trace.image for _, result in trial.answers if result.trace}) > 1, "depths vary"


def test_every_hypothesis_is_a_question_with_the_three_answers(shard: Path) -> None:
    questions = list(Questions(trial_spec([str(shard)], "entailment"), FACTS, limit=2))
    assert [question.row.uid for question in questions] == [f"000000-00000/{n}/{q}" for n in (0, 1) for q in range(3)]
    assert [question.gold for question in questions] == [[label] for label in LABELS] * 2
    assert {tuple(c.label for c in question.row.candidates) for question in questions} == {tuple(ENTAILMENT_ANSWERS)}
    assert len({question.row.prompt_ids for question in questions}) == 6


def test_right_and_wrong_labels_are_told_apart(shard: Path) -> None:
    """An engine that always says yes is right on a third of the hypotheses."""
    trial = ask(Questions(trial_spec([str(shard)], "entailment"), FACTS), SaysYes())
    assert isinstance(trial.all.answers, LabelAccuracy)
    assert trial.all.answers.accuracy == pytest.approx(1 / 3)
    assert trial.all.answers.confusion["neutral"] == {"entailment": 5, "neutral": 0, "contradiction": 0}


def test_an_answer_that_failed_is_wrong_and_has_no_compute(shard: Path) -> None:
    trial = ask(Questions(trial_spec([str(shard)], "entailment"), FACTS), SaysYes(fails_on="/0/0"))
    assert trial.failed == 1
    assert trial.all.rows == 14
    assert isinstance(trial.all.answers, LabelAccuracy)
    assert trial.all.answers.accuracy == pytest.approx(4 / 15)
    assert trial.all.answers.no_answer["entailment"] == 1


def test_questions_are_asked_freely_and_marked_softly(tmp_path: Path, engine: Engine) -> None:
    vqa = [{"question": "Is it red?", "answers": ["yes"] * 10}, {"question": "what is it", "answers": ["a dog"] * 10}]
    path = write_shard(tmp_path / "00000.tar", [{"level": 1, "vqa": vqa}, {"level": 2, "vqa": vqa[:1]}])
    questions = Questions(trial_spec([str(path)], "vqa"), FACTS)
    assert [question.gold for question in questions] == [[["yes"] * 10], [["a dog"] * 10], [["yes"] * 10]]
    assert {question.row.candidates for question in questions} == {()}
    level = RowField.parse("json:level")
    trial = ask(questions, engine, by=level, keep=9)
    assert isinstance(trial.all.answers, VqaScores)
    assert (trial.all.rows, trial.all.answers.rows, trial.all.captions) == (3, 3, None)
    texts = [result.text for _, result in trial.answers]
    again = ask(questions, SaysYes(text=texts[0]), by=level)
    assert all(texts), "the model says something"
    assert again.all.answers is not None
    assert again.all.answers.accuracy == pytest.approx(sum(texts[0] == gold for gold in ("yes", "a dog", "yes")) / 3)
    assert ask(questions, SaysYes(text="YES"), by=level).groups["1"].answers == VqaScores(
        rows=2, accuracy=0.5, no_answer=0
    )
    assert ask(questions, SaysYes(text="YES"), by=level).groups["2"].answers == VqaScores(
        rows=1, accuracy=1.0, no_answer=0
    )


def test_fields_may_be_elsewhere(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "00000.tar", [{"claims": ["a dog", 7], "gold": ["neutral", "neutral"]}])
    fields = ["inputs.fields.hypothesis=json:claims[*]", "inputs.fields.label=json:gold[*]"]
    questions = Questions(trial_spec([str(path)], "entailment", fields), FACTS)
    assert [(question.row.uid, question.gold) for question in questions] == [("000000-00000/0/0", ["neutral"])]
    assert (questions.skipped, questions.unasked) == (0, 1)


def test_a_blind_model_sees_the_same_grey_everywhere(shard: Path) -> None:
    seen = list(Questions(trial_spec([str(shard)], "caption"), FACTS))
    blind = list(Questions(trial_spec([str(shard)], "caption"), FACTS, blind=True))
    assert len({question.row.pixels.tobytes() for question in seen}) == 5
    assert {value for question in blind for value in np.unique(question.row.pixels)} == {128}


@pytest.mark.parametrize(
    ("facts", "task", "said"),
    [
        ({"level": 1}, "caption", "no references found in 1 rows"),
        ({"captions": ["a"]}, "entailment", "none of 1 queries can be asked; the first: .* has no 've', only captions"),
        ({"ve": []}, "entailment", "the first: 000000-00000/0/0: .*an empty list"),
        ({"ve": [{"hypothesis": "x", "label": "perhaps"}]}, "entailment", "row 000000-00000/0/0: .*'perhaps'"),
        ({"ve": {"hypothesis": "x"}}, "entailment", "ve is an object, not a list"),
    ],
)
def test_what_cannot_be_scored_is_said(
    tmp_path: Path, engine: Engine, facts: dict[str, Any], task: Any, said: str
) -> None:
    path = write_shard(tmp_path / "00000.tar", [facts])
    with pytest.raises(ConfigError, match=said):
        ask(Questions(trial_spec([str(path)], task), FACTS), engine)


def test_the_command_shows_and_saves_the_same(mue: Callable[..., Result], shard: Path, tmp_path: Path) -> None:
    saved = tmp_path / "scores.json"
    options = ("model", "eval", "seeded", shard, "--set", "engine.device=cpu", "--by", "json:level")
    text = mue(*options, "--save", saved)
    assert text.exit_code == 0, text.stderr
    assert "exact match" in text.stdout
    assert "1 images could not be read" in text.stderr
    found = json.loads(saved.read_text())
    assert found["all"]["rows"] == 5
    assert found["exits"] == FACTS.exits("default").model_dump(mode="json")
    assert [group["group"] for group in found["groups"]] == ["1", "2"]
    labels = json.loads(mue("model", "eval", "seeded", shard, "--task", "entailment", "--json").stdout)["all"]["labels"]
    assert labels["rows"] == 15
    vqa = mue("model", "eval", "seeded", shard, "--task", "vqa")
    assert vqa.exit_code == 2
    assert "none of 5 queries can be asked; the first: 000000-00000/0/0: json:vqa[*].question: " in vqa.stderr


def test_thresholds_of_the_command_are_those_that_run(mue: Callable[..., Result], shard: Path) -> None:
    facts = json.loads(mue("model", "eval", "seeded", shard, "--exits", "exact", "--json").stdout)
    assert facts["all"]["mean_layers"] == {"image": 6, "text": 6, "decoder": 6}
    assert facts["exits"] == ExitConfig().model_dump(mode="json")
    assert mue("model", "eval", "seeded", "nowhere.tar").exit_code == 2


class SaysYes:
    """An engine that never looks."""

    def __init__(self, fails_on: str = "nothing", text: str | None = None) -> None:
        self._fails_on, self._text = fails_on, text

    def submit(self, rows: list[RowInput]) -> SaysYes:
        self._rows = rows
        return self

    def result(self) -> list[RowResult]:
        return [self._answer(row) for row in self._rows]

    def _answer(self, row: RowInput) -> RowResult:
        if row.uid.endswith(self._fails_on):
            return RowResult(uid=row.uid, error=RowError(code="model_error", message="on purpose"))
        return RowResult(uid=row.uid, text=self._text, label="entailment", finish_reason="candidate", trace=TRACE)
