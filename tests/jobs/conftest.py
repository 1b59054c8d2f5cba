"""Small output folders, made with the real ledger."""

from __future__ import annotations

import io
import json
import logging
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from jobs.cli import app
from jobs.jobs_client import ADDRESS_VARIABLES
from jobs.logs import PACKAGES
from jobs.tune import Tuning, tune
from jobs.tune_settings import TuneSettings
from mue_model.corpus.row import draw_row
from mue_model.corpus.settings import CorpusSettings
from mue_model.model_names import model_facts
from pipeline.exit_codes import ExitCode
from pipeline.identity import uid_of
from pipeline.ledger import Ledger
from pipeline.plan import Plan, PlannedShard
from pipeline.preprocess import DecodeRows
from pipeline.records import COMMIT_SCHEMA, ShardCode
from pipeline.shard_rows import iter_tables
from pipeline.spec import FieldsConfig, JobSpec
from pipeline.storage import Storage

FINGERPRINT = "f" * 64
SHARDS = ("000000-a", "000001-b")
ROWS = 5
"""Rows of each shard."""


def row(shard_id: str, number: int, **changes: Any) -> dict[str, Any]:
    """One good row as the sink gets it."""
    return {
        "uid": uid_of(shard_id, number),
        "shard_id": shard_id,
        "shard_uri": f"in/{shard_id}.tar",
        "key": f"key-{number}",
        "row_in_shard": number,
        "query": 0,
        "task": "caption",
        "text": f"a picture of\t{number}",
        "finish_reason": "stop",
        "n_tokens": 3,
        "status": "ok",
        "attempts": 1,
        "image_layers_run": 2,
        "text_layers_run": 4,
        "decoder_layers_run": [1, 2, 3],
        "checks": 9,
        "flops_executed": 600,
        "flops_full_same_length": 1000,
        "flops_checks": 10,
        "flops_kv_fill": 20,
        "flops_reused": 5,
        "flops_reused_tables": 1,
        "flops_reused_text": 1,
        "flops_reused_image": 0,
        "flops_reused_cross_kv": 3,
        "flops_padding": 7,
        "meta_json": '{"source": "ü"}',
        "attempt_id": "a1",
        **changes,
    }


def failed_row(shard_id: str, number: int, code: str = "corrupt_image") -> dict[str, Any]:
    """One row without a result."""
    layers = dict.fromkeys(("text", "finish_reason", "image_layers_run", "text_layers_run", "decoder_layers_run"))
    error = {"status": "failed", "error_stage": "decode", "error_code": code, "error_message": "cut\nshort"}
    return row(shard_id, number, **layers, **error, n_tokens=0, flops_executed=3, flops_full_same_length=None)


def end(shard_id: str, total: int, **changes: Any) -> dict[str, Any]:
    """The control row of a shard."""
    return {"shard_id": shard_id, "shard_total": total, "shard_state": "done", **changes}


class Job:
    """An output folder in the making."""

    row = staticmethod(row)
    failed_row = staticmethod(failed_row)
    end = staticmethod(end)

    def __init__(
        self, folder: Path, *, untrained: bool = True, task: str = "caption", fields: FieldsConfig | None = None
    ) -> None:
        self.folder = folder
        self.laid_out = time.time()
        self.ledger = Ledger(Storage.open(str(folder)))
        self.plan = Plan(
            shards=tuple(
                PlannedShard(shard_id=shard_id, url=f"in/{shard_id}.tar", size=1000, etag="1") for shard_id in SHARDS
            ),
            fingerprint=FINGERPRINT,
            fingerprint_parts={
                "task": task,
                "model": {
                    "digest": "d",
                    "untrained": untrained,
                    "config": {"encoder_layers": 6, "decoder_layers": 4, "streams": "decomposed"},
                },
            },
            audit_seed=0,
            audit_rates={},
            fields=fields or FieldsConfig(),
        )
        self.ledger.adopt_plan(self.plan)

    def commit(self, name: str, *rows: dict[str, Any]) -> None:
        table = pa.Table.from_pylist(list(rows), schema=COMMIT_SCHEMA)
        self.ledger.commit(table, name=name, attempt="a1", fingerprint=FINGERPRINT)

    def commit_shard(self, shard_id: str, *, failed: Sequence[int] = ()) -> None:
        rows = [failed_row(shard_id, n) if n in failed else row(shard_id, n) for n in range(ROWS)]
        self.commit(f"a1-{shard_id}-0", *rows, end(shard_id, ROWS))

    def commit_bad_shard(self, shard_id: str) -> None:
        self.commit(
            f"a1-{shard_id}-0",
            row(shard_id, 0),
            end(shard_id, 1, shard_state="bad", shard_code="truncated", shard_message="no end"),
        )
        self.ledger.write_failure_entry(shard_id, ShardCode.TRUNCATED, "no end-of-archive", f"in/{shard_id}.tar", 2)

    def written_at(self, path: str, seconds: float) -> None:
        """Have the store say that the file was written so many seconds after the job was laid out."""
        at = self.laid_out + seconds
        os.utime(self.folder / path, (at, at))

    def finish(self) -> None:
        self.ledger.finalize(self.plan)


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    """Plan a job in the folder `out`, or in one of another name."""
    return lambda name="out", **settings: Job(tmp_path / name, **settings)


@pytest.fixture
def job(make_job: Callable[..., Job]) -> Job:
    """A planned job without a row."""
    return make_job()


@pytest.fixture
def finished(job: Job) -> Job:
    """Two shards of five rows; the last row of the first one failed."""
    job.commit_shard(SHARDS[0], failed=[4])
    job.commit_shard(SHARDS[1])
    job.finish()
    return job


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Take back what `configure_logs` did."""
    loggers = [logging.getLogger(name) for name in PACKAGES]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers = handlers


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what commands note for their user in a folder of the test."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    for name in ADDRESS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def mue(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command line in this process, as off a terminal of whatever width."""
    monkeypatch.delenv("COLUMNS", raising=False)
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args], prog_name="mue")


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of 16 drawn images of the validation split, with captions and hypotheses."""
    return drawn_shard(tmp_path_factory.mktemp("val") / "00000.tar", CorpusSettings(seed=23, levels=(1, 2, 3)))


@pytest.fixture(scope="session")
def labelled_hard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `labelled`, of scenes so hard that a caption after one layer is another than after six."""
    return drawn_shard(tmp_path_factory.mktemp("hard") / "00000.tar", CorpusSettings(seed=23, levels=(4, 5)))


def drawn_shard(path: Path, settings: CorpusSettings) -> Path:
    """Write the first 16 images of a validation split."""
    with tarfile.open(path, "w") as tar:
        for row in (draw_row(settings, "val", number) for number in range(16)):
            for suffix, data in (("jpg", row.jpg), ("json", json.dumps(row.facts).encode())):
                member = tarfile.TarInfo(f"{row.key}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(scope="session")
def tune_settings(labelled: Path) -> TuneSettings:
    """A calibration of seconds."""
    return TuneSettings(shards=(str(labelled),), rows=70, screen_rows=12, points=2, certify=0.7, group_size=8)


@pytest.fixture(scope="session")
def tuned(tune_settings: TuneSettings) -> Tuning:
    """What it finds for the model that ships."""
    return tune(tune_settings, model_facts("demo"))


AUDITED_ATTEMPT = "20260101T000000-abcdef"


def run_in_process(output: Path, shards: Sequence[str], **settings: Any) -> Ledger:
    """Run a whole job stage by stage as Ray would, and return its ledger; parts hold five images each."""
    from jobs.planning import prepare
    from jobs.run_record import RunRecord
    from pipeline.actor import ModelActor
    from pipeline.actor_audit import ActorAudit, shadow_selection

    spec = JobSpec.model_validate({"inputs": {"urls": list(shards)}, "output": {"url": str(output)}} | settings)
    job, ledger = prepare(spec), Ledger(Storage.open(str(output)))
    plan = ledger.adopt_plan(job.plan)
    record = RunRecord(ledger, spec, AUDITED_ATTEMPT)
    decode = DecodeRows.of_job(spec, job.facts, job.generation)
    engine = spec.engine.model_copy(update={"threads": 1, "group_size": 8})
    audit = ActorAudit(shadows=shadow_selection(plan))
    actor = ModelActor(job.facts.name, job.facts.digest, job.exits, job.generation, engine, AUDITED_ATTEMPT, audit)
    for shard in plan.shards:
        tables = iter_tables(
            shard.url, shard.shard_id, suffixes=("jpg",), max_member_bytes=1 << 20, files=shard.files, rows_per_table=5
        )
        for number, table in enumerate(tables):
            name = f"{AUDITED_ATTEMPT}-{shard.shard_id}-{number:06d}"
            ledger.commit(actor.answer(decode(table)), name=name, attempt=AUDITED_ATTEMPT, fingerprint=plan.fingerprint)
    lines = "".join(json.dumps(line) + "\n" for line in actor.tally.lines())
    ledger.storage.write(f"metrics/{AUDITED_ATTEMPT}-driver.jsonl", lines.encode())
    record.end(ExitCode.OK)
    ledger.finalize(plan)
    return ledger


@pytest.fixture(scope="session")
def run_here() -> Callable[..., Ledger]:
    """`run_here(output, shards, task=..., audit=...)`: a whole job in this process."""
    return run_in_process


@pytest.fixture(scope="session")
def broken_shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of three rows whose images cannot be decoded."""
    path = tmp_path_factory.mktemp("broken") / "00001.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(3):
            member = tarfile.TarInfo(f"{number}.jpg")
            member.size = 8
            tar.addfile(member, io.BytesIO(b"no image"))
    return path


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory, labelled: Path, broken_shard: Path) -> Path:
    """What an audited job left, not to be changed: 16 captions by the model that ships, and three rows that failed."""
    output = tmp_path_factory.mktemp("honest") / "out"
    run_in_process(output, [str(labelled), str(broken_shard)], audit={"rate": 0.6, "seed": 3})
    return output
