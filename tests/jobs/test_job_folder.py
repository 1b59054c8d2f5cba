from __future__ import annotations

from typing import Any

import pytest

from jobs.job_folder import RowTotal, open_job, planned_model, row_total, run_facts
from mue_model.config import ConfigError
from mue_model.model_names import demo_digest
from pipeline.receipts import LedgerError
from pipeline.spec import FieldsConfig


def test_a_folder_without_a_plan_is_no_job(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no job here \(there is no plan.json\); give the folder"):
        open_job(str(tmp_path / "nowhere"))


def test_a_job_is_opened_from_its_folder_alone(finished: Any) -> None:
    ledger = open_job(str(finished.folder))
    assert ledger.plan() == finished.plan
    assert len(ledger.live_parts()) == 2


def test_the_total_is_unknown_then_estimated_by_bytes_then_counted(job: Any) -> None:
    def total() -> Any:
        return row_total(job.plan, job.ledger.progress())

    assert (total().rows, total().estimated) == (None, True)
    job.commit("a1-0-0", job.row("000000-a", 0))
    assert (total().rows, total().estimated) == (None, True)
    job.commit("a1-0-1", *[job.row("000000-a", n) for n in range(1, 5)], job.end("000000-a", 5))
    assert (total().rows, total().estimated) == (10, True)
    job.commit("a1-1-0", job.row("000001-b", 0), job.end("000001-b", 1))
    assert (total().rows, total().estimated) == (6, False)


def test_a_side_cars_word_is_an_estimate_until_the_end_is_read(job: Any) -> None:
    told = [shard.model_copy(update={"rows": 3, "rows_from": "side-car"}) for shard in job.plan.shards]
    plan = job.plan.model_copy(update={"shards": tuple(told)})
    assert row_total(plan, job.ledger.progress()) == RowTotal(rows=6, estimated=True)
    job.commit("a1-0-0", *[job.row("000000-a", n) for n in range(5)], job.end("000000-a", 5))
    assert row_total(plan, job.ledger.progress()) == RowTotal(rows=8, estimated=True)
    job.commit("a1-1-0", *[job.row("000001-b", n) for n in range(4)])
    assert row_total(plan, job.ledger.progress()) == RowTotal(rows=9, estimated=True)
    job.commit("a1-1-1", job.end("000001-b", 4))
    assert row_total(plan, job.ledger.progress()) == RowTotal(rows=9, estimated=False)


def test_an_estimate_is_never_below_what_is_committed(job: Any) -> None:
    job.commit("a1-0-0", job.row("000000-a", 0), job.end("000000-a", 1))
    job.commit("a1-1-0", *[job.row("000001-b", n) for n in range(7)])
    assert row_total(job.plan, job.ledger.progress()).rows == 8


def test_queries_still_to_come_are_taken_to_be_as_many_as_those_that_are_there(make_job: Any) -> None:
    job = make_job("several", task="vqa", fields=FieldsConfig(question="json:vqa[*].question"))

    def total() -> Any:
        return row_total(job.plan, job.ledger.progress())

    def image(shard_id: str, number: int, queries: int) -> list[dict[str, Any]]:
        return [job.row(shard_id, number, uid=f"{shard_id}/{number}/{q}", query=q) for q in range(queries)]

    assert (total().rows, total().estimated) == (None, True)
    job.commit("a1-0-0", *image("000000-a", 0, 3), *image("000000-a", 1, 2), job.end("000000-a", 4))
    assert (total().rows, total().estimated) == (20, True), "8 images with 2.5 queries each"
    job.commit("a1-0-1", *image("000000-a", 2, 1), *image("000000-a", 3, 2), job.end("000001-b", 0))
    assert (total().rows, total().estimated) == (8, False)
    single = make_job("single", task="vqa", fields=FieldsConfig(question="txt"))
    single.commit("a1-0-0", single.row("000000-a", 0), single.end("000000-a", 4), single.end("000001-b", 1))
    assert row_total(single.plan, single.ledger.progress()).rows == 5
    assert not row_total(single.plan, single.ledger.progress()).estimated


def test_the_plan_tells_the_model(job: Any) -> None:
    model = planned_model(job.plan)
    assert (model.name, model.untrained, model.encoder_layers, model.decoder_layers) == ("seeded", True, 6, 4)


@pytest.mark.parametrize(
    ("digest", "name", "caveat"),
    [(None, "demo", "model 'demo' knows drawn scenes alone"), ("ab" * 32, "digest abababababababab", None)],
)
def test_the_model_that_ships_is_known_by_its_digest(
    make_job: Any, digest: str | None, name: str, caveat: str | None
) -> None:
    plan = make_job("trained", untrained=False).plan
    plan.fingerprint_parts["model"]["digest"] = digest or demo_digest()
    model = planned_model(plan)
    assert model.name == name
    assert (model.caveat or "").startswith(caveat or "")
    assert (model.caveat is None) == (caveat is None)


def test_facts_of_the_run_are_optional_but_never_garbage(job: Any) -> None:
    assert run_facts(job.ledger) == {}
    job.ledger.storage.write("run.json", b"{")
    with pytest.raises(LedgerError, match=r"run.json is not JSON"):
        run_facts(job.ledger)


@pytest.mark.parametrize("content", [b"[]", b"5", b'{"attempts": 5}', b'{"attempts": [1]}', b'{"attempts": null}'])
def test_facts_that_no_run_writes_are_named(job: Any, content: bytes) -> None:
    job.ledger.storage.write("run.json", content)
    with pytest.raises(LedgerError, match=r"run.json is not what a run writes; delete it"):
        run_facts(job.ledger)
