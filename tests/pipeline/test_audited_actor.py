"""A model process with an audit: rows are what they are without one, and some have full depth's answer beside them."""

from __future__ import annotations

import io
import random
import threading
from typing import Any

import pyarrow as pa
import pytest
import torch
from PIL import Image

from mue_model import costs
from mue_model.config import EngineConfig, GenerationConfig
from mue_model.exits import NeverExit
from mue_model.loading import load_model
from mue_model.model_names import model_facts
from mue_model.reference import run_row
from pipeline.actor import ModelActor
from pipeline.actor_audit import ActorAudit
from pipeline.fan_out import query_rows
from pipeline.preprocess import DecodeRows
from pipeline.records import RAW_SCHEMA
from pipeline.shadow_selection import ShadowSelection
from pipeline.shadow_strata import STRATA

FACTS = model_facts("seeded")
GENERATION = GenerationConfig()
E, D = FACTS.config.encoder_layers, FACTS.config.decoder_layers
MAY_DIFFER = {"shadow", "timings", "flops_padding", "flops_reused", "flops_reused_tables", "flops_reused_text"}
"""Who is the first to need a prompt or a table depends on the neighbours."""


def decoded(rows: int, *, first: int = 0) -> pa.Table:
    rng, raw = random.Random(first), []
    for number in range(first, first + rows):
        image, buffer = Image.new("RGB", (96, 96), tuple(rng.randbytes(3))), io.BytesIO()
        image.paste(tuple(rng.randbytes(3)), (rng.randint(0, 40), 10, 50 + rng.randint(0, 40), 80))
        image.save(buffer, "PNG")
        uid = {"uid": f"000000-a/{number}/0", "shard_id": "000000-a", "key": str(number), "row_in_shard": number}
        raw.append(uid | {"query": 0, "image": buffer.getvalue(), "status": "ok"})
    raw[-1]["image"] = b"no image"
    return DecodeRows.from_processor(FACTS.processor)(pa.Table.from_pylist(raw, schema=RAW_SCHEMA))


def rule(rate: float) -> ShadowSelection:
    return ShadowSelection(seed=1, rates=dict.fromkeys(STRATA, rate), encoder_layers=E, decoder_layers=D)


def actor(
    audit: ActorAudit | None = None, *, exits: str = "default", group_size: int = 4, **settings: Any
) -> ModelActor:
    engine = EngineConfig(group_size=group_size, image_group_size=2, threads=1)
    return ModelActor("seeded", FACTS.digest, FACTS.exits(exits), GENERATION, engine, "a1", audit, **settings)


@pytest.fixture(scope="module")
def plain() -> ModelActor:
    """A process without an audit."""
    return actor()


def test_shadows_stand_beside_rows_that_are_as_they_are_without(plain: ModelActor) -> None:
    table = decoded(30)
    audited = actor(ActorAudit(shadows=rule(0.4)))

    rows = audited.answer(table).to_pylist()

    for before, after in zip(plain.answer(table).to_pylist(), rows, strict=True):
        assert {k: v for k, v in before.items() if k not in MAY_DIFFER} == {
            k: v for k, v in after.items() if k not in MAY_DIFFER
        }
        assert before["shadow"] is None
    shadowed = {row["uid"]: row for row in rows if row["shadow"]}
    ok = [row for row in rows if row["status"] == "ok"]
    layers = ("image_layers_run", "text_layers_run", "decoder_layers_run")
    expected = {row["uid"] for row in ok if rule(0.4).selects(row["uid"], rule(0.4).stratum(*(row[n] for n in layers)))}
    assert set(shadowed) == expected
    assert 5 < len(expected) < 20
    assert rows[-1]["status"] == "failed"
    model = load_model(FACTS)
    for asked in (row.asked for row in query_rows(table, FACTS.processor.image_size)):
        if asked is not None and asked.uid in shadowed:
            deep, row = run_row(model, asked, NeverExit(), GENERATION), shadowed[asked.uid]
            text = FACTS.processor.tokenizer.decode(deep.tokens).strip()
            assert deep.trace is not None
            assert row["shadow"] == {
                "text": text,
                "n_tokens": len(deep.tokens),
                "layers": [E, E, *[D] * len(deep.tokens)],
                "flops": costs.row_flops(FACTS.config, deep.trace).executed,
                "agrees": text == row["text"],
            }
    assert not all(row["shadow"]["agrees"] for row in shadowed.values()), "exits must change something"
    totals = audited.tally.lines()[-1]
    assert (totals["rows_ok"], totals["shadow_rows"], totals["shadow_lost"]) == (29, len(expected), 0)
    assert totals["flops_shadow"] == sum(row["shadow"]["flops"] for row in shadowed.values())
    assert totals["flops_ok"] == sum(row["flops_executed"] for row in ok)


def test_who_is_chosen_depends_neither_on_order_nor_on_retries_nor_on_neighbours() -> None:
    audited = actor(ActorAudit(shadows=rule(0.3)))
    whole = audited.answer(decoded(24)).to_pylist()
    table = decoded(24)
    pieces = [audited.answer(table.slice(start, 3)) for start in (21, 3, 15, 9, 0, 6, 18, 12, 3)]
    again = {row["uid"]: row["shadow"] for piece in pieces for row in piece.to_pylist()}
    assert again == {row["uid"]: row["shadow"] for row in whole}


def test_full_depth_agrees_with_itself() -> None:
    rows = actor(ActorAudit(shadows=rule(1.0)), exits="exact").answer(decoded(6)).to_pylist()
    assert [row["shadow"] and row["shadow"]["agrees"] for row in rows] == [True] * 5 + [None]
    assert all(row["shadow"]["flops"] == row["flops_executed"] for row in rows[:5])


def test_suspects_get_no_shadow_and_that_counts_as_lost() -> None:
    audited = actor(ActorAudit(shadows=rule(1.0)))
    rows = audited.answer(decoded(6), audited=False).to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 5 + ["failed"]
    assert all(row["shadow"] is None for row in rows)
    assert audited.tally.lines()[-1]["shadow_lost"] == 5


def test_a_shadow_that_fails_is_counted_as_lost_and_its_row_stays(plain: ModelActor) -> None:
    audited = actor(ActorAudit(shadows=rule(1.0)))
    before = plain.answer(decoded(30)).to_pylist()
    last = audited._engines._model.encoder_layer(E - 1)  # only rows that go all the way down reach it
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.fill_(float("nan"))

    rows = audited.answer(decoded(30)).to_pylist()

    stays = [place for place, row in enumerate(before) if row["status"] == "ok" and row["image_layers_run"] < E]
    stays = [place for place in stays if before[place]["text_layers_run"] < E]
    assert len(stays) > 3, "rows must leave before it"
    for place in stays:
        assert (rows[place]["status"], rows[place]["text"]) == ("ok", before[place]["text"])
        assert rows[place]["shadow"] is None
    totals = audited.tally.lines()[-1]
    assert (totals["rows_ok"], totals["shadow_rows"], totals["shadow_lost"]) == (len(stays), 0, len(stays))


def test_windows_are_measured_while_calls_of_many_threads_get_their_own_answers(plain: ModelActor) -> None:
    audited = actor(ActorAudit(shadows=rule(0.2), windows=2, rows_expected=50), group_size=2)
    tables = [decoded(6, first=6 * call) for call in range(10)]
    answers: dict[int, list[dict[str, Any]]] = {}

    def call(number: int) -> None:
        answers[number] = audited.answer(tables[number]).to_pylist()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)

    for number, table in enumerate(tables):
        expected = plain.answer(table).to_pylist()
        assert [(row["uid"], row["text"]) for row in answers[number]] == [(row["uid"], row["text"]) for row in expected]
    windows = [line for line in audited.tally.lines() if line["event"] == "window"]
    assert [(window["number"], window["first"]) for window in windows] == [(0, "exits"), (1, "full")]
    for window in windows:
        assert window["rows"] >= 4 * window["rows_in_flight"] > 4
        assert 0 < window["rows_distinct"] <= window["rows"]
        assert min(window["exits_s"], window["full_s"], window["warm_s"]) > 0
    totals = audited.tally.lines()[-1]
    assert totals["rows_ok"] == 50, "rows of windows are no rows of the job"
    assert totals["windows_s"] == pytest.approx(sum(window["alone_s"] for window in windows))


def test_no_window_begins_once_the_job_is_to_stop_or_where_there_are_to_be_none() -> None:
    audit = ActorAudit(shadows=rule(0.0), windows=3, rows_expected=6)
    for settings in ({"stopped": lambda: True}, {"windows": False}):
        audited = actor(audit, **settings)
        audited.answer(decoded(12))
        assert [line["event"] for line in audited.tally.lines()] == ["process", "totals"]
