"""Jobs that ask several things of one image, for real: shards, Ray, the model, the ledger, and what scores them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import webdataset

from jobs.answer_evaluation import evaluate_answers
from jobs.export import export_lines
from jobs.inspection import find_rows
from jobs.job_folder import row_total
from jobs.progress import ProgressView
from jobs.references import field_references
from jobs.run import run_job
from jobs.trial import run_trial
from jobs.trial_questions import Questions, trial_spec
from mue_model import costs
from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.exits import CosineExit
from mue_model.loading import build_engine, load_model
from mue_model.model_names import model_facts
from mue_model.reference import run_row
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.row_field import RowField
from pipeline.spec import ActorsConfig, FieldsConfig, InputsConfig, JobSpec, OutputConfig
from pipeline.storage import Storage

pytestmark = pytest.mark.usefixtures("ray_local")

DrawScene = Callable[[random.Random], tuple[bytes, str]]
LABELS = ("entailment", "neutral", "contradiction")
EXITS = ExitConfig(image=0.905, text=0.88, decoder=0.86)
VE = FieldsConfig(hypothesis="json:ve[*].hypothesis", label="json:ve[*].label")


def facts_of(rng: random.Random) -> dict[str, Any]:
    """Up to four hypotheses and two questions."""
    colours = rng.sample(["red", "green", "blue", "yellow"], rng.randint(1, 4))
    return {
        "level": rng.randint(1, 2),
        "ve": [{"hypothesis": f"a {colour} circle", "label": rng.choice(LABELS)} for colour in colours],
        "vqa": [{"question": f"is it {colour}?", "answers": ["yes"] * 10} for colour in colours[:2]],
    }


def hostile(jpg: bytes, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of which nothing, or not everything, can be asked; by the suffixes that they have."""
    ve = facts["ve"]
    half_bad = [*ve, {"hypothesis": 7, "label": "neutral"}, {"label": "neutral"}, *ve]
    too_long = [{"hypothesis": "dog " * 1100, "label": "neutral"}, ve[0]]
    return [
        {"jpg": b"no picture", "json": facts},
        {"json": facts},
        {"jpg": jpg, "txt": "no json"},
        {"jpg": jpg, "json": b'{"ve": [cut'},
        {"jpg": jpg, "json": {"ve": []}},
        {"jpg": jpg, "json": {"ve": "a dog"}},
        {"jpg": jpg, "json": {"level": 2, "ve": half_bad}},
        {"jpg": jpg, "json": {"level": 2, "ve": too_long}},
        {"jpg": jpg, "json": {"ve": [ve[0]] * 13}},
    ]


def write_shards(folder: Path, draw_scene: DrawScene) -> tuple[str, dict[tuple[int, int], dict[str, Any]]]:
    """Write two shards; returns their pattern and the members of each row."""
    rng, written = random.Random(0), {}
    for shard, n_rows in enumerate((14, 9)):
        rows: list[dict[str, Any]] = []
        for _ in range(n_rows):
            jpg, caption = draw_scene(rng)
            rows.append({"jpg": jpg, "txt": caption, "json": facts_of(rng)})
        if shard == 0:
            rows += hostile(jpg, facts_of(rng))
            rng.shuffle(rows)
        with webdataset.TarWriter(str(folder / f"{shard:05d}.tar"), mtime=0) as writer:
            for number, members in enumerate(rows):
                written[shard, number] = members
                writer.write({"__key__": f"s{shard}r{number:03d}"} | {s: encoded(v) for s, v in members.items()})
    return str(folder / "{00000..00001}.tar"), written


def encoded(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def job(urls: str, output: Path, task: Any, fields: FieldsConfig, **settings: Any) -> JobSpec:
    return JobSpec(
        inputs=InputsConfig(urls=(urls,), fields=fields, max_queries=12),
        output=OutputConfig(url=str(output), rows_per_part=10),
        actors=ActorsConfig(rows_per_call=4),
        engine=EngineConfig(threads=1, device="cpu"),
        model="seeded",
        task=task,
        **settings,
    )


def committed(output: Path) -> list[dict[str, Any]]:
    ledger = Ledger(Storage.open(str(output)))
    return [json.loads(line) for line in export_lines(ledger, format="jsonl", status="all")]


def expected_rows(written: dict[tuple[int, int], dict[str, Any]]) -> dict[str, str | None]:
    """Every uid that must be there once, with the hypothesis that it stands for; None where none can be asked."""
    expected: dict[str, str | None] = {}
    for (shard, row), members in written.items():
        found = members.get("json")
        ve = found.get("ve") if isinstance(found, dict) else None
        entries = ve if isinstance(ve, list) and 0 < len(ve) <= 12 else [{}]
        for query, entry in enumerate(entries):
            text = entry.get("hypothesis")
            is_asked = isinstance(text, str) and len(text) < 4000 and members.get("jpg", b"").startswith(b"\xff\xd8")
            expected[f"{shard:06d}-{shard:05d}/{row}/{query}"] = text if is_asked else None
    return expected


def test_every_query_gets_its_own_answer_once_and_no_image_vanishes(tmp_path: Path, draw_scene: DrawScene) -> None:
    urls, written = write_shards(tmp_path, draw_scene)
    spec = job(urls, tmp_path / "out", "entailment", VE, exits=EXITS)

    outcome = run_job(spec, progress=ProgressView("silent"))

    assert outcome.exit_code is ExitCode.OK
    rows, expected = committed(tmp_path / "out"), expected_rows(written)
    assert Counter(row["uid"] for row in rows) == Counter(expected.keys())
    assert {row["uid"] for row in rows if row["status"] == "ok"} == {uid for uid, text in expected.items() if text}
    for row in rows:
        assert row["key"] == f"s{int(row['shard_id'][:6])}r{row['row_in_shard']:03d}"
        if text := expected[row["uid"]]:
            assert row["prompt"] == f' does the image describe " {text} "?'
    codes = Counter(row["error_code"] for row in rows if row["status"] == "failed")
    # The two images that cannot be read have the same hypotheses.
    unread = codes.pop("unknown_format")
    assert codes == {"missing_image": unread, "bad_field": 6, "prompt_too_long": 1}
    [filtered] = [row for row in rows if row["status"] == "filtered"]
    assert "empty list" in filtered["error_message"]

    facts = model_facts("seeded")
    model, policy = load_model(facts), CosineExit.from_config(EXITS, facts.config, 16)
    questions = {question.row.uid: question.row for question in Questions(spec, facts)}
    labels = set()
    for row in rows[::3]:
        if row["status"] == "ok":
            alone = run_row(model, questions[row["uid"]], policy, GenerationConfig())
            assert alone.trace is not None
            labels.add(alone.label)
            assert (row["label"], row["image_layers_run"]) == (alone.label, alone.trace.image)
            assert row["flops_executed"] == costs.row_flops(facts.config, alone.trace).executed
    assert len(labels) > 1

    ledger = Ledger(Storage.open(str(tmp_path / "out")))
    total = row_total(ledger.plan(), ledger.progress())
    assert (total.rows, total.estimated, ledger.progress().images_committed) == (len(expected), False, len(written))
    last = max((row for row in rows if row["status"] == "ok"), key=lambda row: row["query"])
    [found] = find_rows(ledger, last["uid"])
    assert found["query"] > 1
    assert (found["text"], json.loads(found["meta_json"])) == (last["text"], json.loads(last["meta_json"]))
    for receipt in ledger.receipts():
        part = ledger.read_part(receipt).to_pylist() if receipt.part else []
        assert {row["query"] for row in part if row["meta_json"] is not None} <= {0}
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet")}
    assert run_job(spec, progress=ProgressView("silent")).shards_opened == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet")} == before


@pytest.mark.parametrize("task", ["entailment", "vqa"])
def test_a_job_scores_as_the_same_questions_without_one(tmp_path: Path, draw_scene: DrawScene, task: Any) -> None:
    urls, _ = write_shards(tmp_path, draw_scene)
    fields = VE if task == "entailment" else FieldsConfig(question="json:vqa[*].question", label="json:vqa[*].answers")
    level = RowField.parse("json:level")
    run_job(job(urls, tmp_path / "out", task, fields, exits=EXITS), progress=ProgressView("silent"))

    found = evaluate_answers(Ledger(Storage.open(str(tmp_path / "out"))), by=level)

    facts = model_facts("seeded")
    settings = ["model=seeded", "inputs.max_queries=12"]
    questions = Questions(trial_spec([urls], task, settings), facts)
    engine = build_engine(facts, EXITS, GenerationConfig(), EngineConfig(device="cpu"))
    trial = run_trial(questions, engine, facts.config, field_references("txt"), task=task, by=level)
    engine.close()
    assert found.scores == trial.all.answers
    assert found.rows["scored"] == trial.all.rows > 20
    assert found.depths == trial.all.depths
    groups = {group.name: (group.scores, group.depths) for group in found.groups}
    assert groups == {name: (scores.answers, scores.depths) for name, scores in trial.groups.items()}
    assert len(groups) == 2
    assert (found.health is None) == (task == "entailment")


def test_a_caption_may_have_a_prompt_of_its_own(tmp_path: Path, draw_scene: DrawScene) -> None:
    urls, written = write_shards(tmp_path, draw_scene)
    spec = job(urls, tmp_path / "out", "caption", FieldsConfig(prompt="txt"), exits="exact")
    run_job(spec, progress=ProgressView("silent"))
    rows = [row for row in committed(tmp_path / "out") if row["status"] == "ok"]
    assert len(rows) > 10
    for row in rows:
        text = written[int(row["shard_id"][:6]), row["row_in_shard"]]["txt"]
        assert row["prompt"] == f" {text}"
        assert row["text_layers_run"] == 6
    assert len({row["prompt"] for row in rows}) > 5
