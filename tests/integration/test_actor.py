"""The model actor in a real Ray actor with several calls at a time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest
import ray

from mue_model import costs
from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.engine.engine import Engine, Follow
from mue_model.exits import CosineExit
from mue_model.loading import load_model
from mue_model.model_folder import ModelFolderError
from mue_model.model_names import model_facts
from mue_model.reference import run_row
from mue_model.rows import RowInput, RowResult
from pipeline.actor import ModelActor
from pipeline.fan_out import query_rows
from pipeline.preprocess import DecodeRows
from pipeline.records import COMMIT_SCHEMA, RAW_SCHEMA
from pipeline.spec import FieldsConfig, InputsConfig, JobSpec, OutputConfig

DrawScene = Callable[[random.Random], tuple[bytes, str]]

pytestmark = pytest.mark.usefixtures("ray_local")


class WatchedActor(ModelActor):
    """A model actor that also tells which rows shared a batch."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._groups: set[tuple[str, ...]] = set()

    def _wait(self, engine: Engine, rows: Sequence[RowInput], *, follow: Follow | None = None) -> list[RowResult]:
        results = super()._wait(engine, rows, follow=follow)
        self._groups |= {result.group_uids for result in results}
        return results

    def groups(self) -> set[tuple[str, ...]]:
        return self._groups


def decoded_table(draw_scene: DrawScene, call: int, rows: int) -> pa.Table:
    rng = random.Random(call)
    raw = [
        {
            "uid": f"{call:06d}-call/{row}/0",
            "shard_id": f"{call:06d}-call",
            "key": str(row),
            "row_in_shard": row,
            "query": 0,
            "image": draw_scene(rng)[0],
            "status": "ok",
        }
        for row in range(rows)
    ]
    table = pa.Table.from_pylist(raw, schema=RAW_SCHEMA)
    return DecodeRows.from_processor(model_facts("seeded").processor)(table)


def test_one_group_holds_rows_of_two_calls_and_each_call_gets_its_own_back(draw_scene: DrawScene) -> None:
    facts = model_facts("seeded")
    arguments = (
        facts.name,
        facts.digest,
        facts.exits("default"),
        GenerationConfig(),
        EngineConfig(group_size=16, threads=1),
        "a1",
    )
    actor = ray.remote(WatchedActor).options(max_concurrency=4, num_cpus=0.5).remote(*arguments)
    tables = [decoded_table(draw_scene, call, rows=6) for call in range(12)]

    answers = ray.get([actor.answer.remote(table) for table in tables])

    groups = ray.get(actor.groups.remote())
    shared = [group for group in groups if len({uid.split("/")[0] for uid in group}) > 1]
    assert shared, "no group held rows of two calls"
    for table, answer in zip(tables, answers, strict=True):
        assert answer.schema.equals(COMMIT_SCHEMA)
        assert answer["uid"].to_pylist() == table["uid"].to_pylist()
        assert all(status == "ok" for status in answer["status"].to_pylist())
    ray.kill(actor)


def test_rows_without_an_image_pass_through_in_their_place(draw_scene: DrawScene) -> None:
    facts = model_facts("seeded")
    arguments = (facts.name, facts.digest, facts.exits("exact"), GenerationConfig(), EngineConfig(threads=1), "a1")
    actor = ray.remote(ModelActor).options(num_cpus=0.5).remote(*arguments)
    table = decoded_table(draw_scene, 0, rows=4)
    failed = table.slice(1, 1).set_column(
        table.schema.get_field_index("status"), "status", pa.array(["failed"], pa.string())
    )
    mixed = pa.concat_tables([table.slice(0, 1), failed, table.slice(2, 2)])

    answer = ray.get(actor.answer.remote(mixed))

    assert answer["status"].to_pylist() == ["ok", "failed", "ok", "ok"]
    texts = answer["text"].to_pylist()
    assert texts[1] is None
    assert np.all([text for place, text in enumerate(texts) if place != 1])
    ray.kill(actor)


def entailment_table(draw_scene: DrawScene, hypotheses: list[list[object]]) -> pa.Table:
    """Decoded scenes, each with hypotheses of its own."""
    rng = random.Random(5)
    raw = [
        {
            "uid": f"000000-a/{row}/0",
            "shard_id": "000000-a",
            "key": str(row),
            "row_in_shard": row,
            "query": 0,
            "image": draw_scene(rng)[0],
            "meta_json": json.dumps({"json": {"ve": [{"hypothesis": text} for text in texts]}}),
            "status": "ok",
        }
        for row, texts in enumerate(hypotheses)
    ]
    spec = JobSpec(
        inputs=InputsConfig(urls=("a.tar",), fields=FieldsConfig(hypothesis="json:ve[*].hypothesis")),
        output=OutputConfig(url="out"),
        task="entailment",
        model="seeded",
    )
    return DecodeRows.of_job(spec, model_facts("seeded"), GenerationConfig())(pa.Table.from_pylist(raw, RAW_SCHEMA))


def test_hypotheses_get_the_answers_that_the_reference_gives_each_alone(draw_scene: DrawScene) -> None:
    facts = model_facts("seeded")
    exits = facts.exits("default")
    texts = [[f"a {colour} circle" for colour in ("red", "green", "blue")[: 1 + row % 3]] for row in range(7)]
    table = entailment_table(draw_scene, [*texts, ["a red circle", 7, "", "dog " * 1100], []])
    actor = ModelActor(facts.name, facts.digest, exits, GenerationConfig(), EngineConfig(threads=1), "a1")

    answers = actor.answer(table).to_pylist()

    model = load_model(facts)
    policy = CosineExit.from_config(exits, facts.config, GenerationConfig().max_tokens)
    asked = [row.asked for row in query_rows(table, facts.processor.image_size) if row.asked is not None]
    alone = {row.uid: run_row(model, row, policy, GenerationConfig()) for row in asked}
    assert len(alone) == sum(map(len, texts)) + 1
    assert [row["uid"] for row in answers if row["status"] == "ok"] == list(alone)
    for row in answers:
        if row["status"] == "ok":
            expected = alone[row["uid"]]
            assert (row["label"], row["n_tokens"]) == (expected.label, len(expected.tokens))
            assert [found["score"] for found in row["candidates"]] == pytest.approx(expected.scores, abs=1e-4)
            assert [found["text"] for found in row["candidates"]] == ["yes", "maybe", "no"]
            assert row["text"] == {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}[row["label"]]
            trace = expected.trace
            assert trace is not None
            assert (row["image_layers_run"], row["text_layers_run"]) == (trace.image, trace.text)
            assert tuple(row["decoder_layers_run"]) == trace.decoder
            assert row["flops_executed"] == costs.row_flops(facts.config, trace).executed
    assert len({result.label for result in alone.values()}) > 1, "answers must differ"
    assert len({result.trace.image for result in alone.values() if result.trace}) > 1, "depths must vary"
    assert sum(row["flops_reused_image"] for row in answers if row["status"] == "ok") > 0, "images are encoded once"
    rest = [(row["uid"], row["status"], row["error_code"]) for row in answers if row["status"] != "ok"]
    assert rest == [
        ("000000-a/7/1", "failed", "bad_field"),
        ("000000-a/7/2", "failed", "bad_field"),
        ("000000-a/7/3", "failed", "prompt_too_long"),
        ("000000-a/8/0", "filtered", None),
    ]


def test_another_model_than_the_planned_one_is_refused() -> None:
    with pytest.raises(ModelFolderError, match="the plan says 0000"):
        ModelActor("seeded", "0000", ExitConfig(), GenerationConfig(), EngineConfig(), "a1")
