"""The interfaces that other programs read, pinned byte for byte.

A change here is a new version of the interface: raise its number and say so in the CHANGELOG. To write the
files anew: `MUE_WRITE_GOLDEN=1 python -m pytest tests/pipeline/test_golden.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from mue_model.config import Config, ExitConfig, GenerationConfig
from pipeline.canonical_json import canonical_json
from pipeline.exit_codes import ExitCode
from pipeline.fingerprint import fingerprint_of, fingerprint_parts
from pipeline.identity import parse_uid, shard_id_of, uid_of
from pipeline.manifest import FileDigest, Manifest
from pipeline.plan import Plan, PlannedShard
from pipeline.receipts import Part, Receipt, ShardOutcome
from pipeline.records import COMMIT_SCHEMA, ROW_SCHEMA, ShardCode, ShardState, decoded_schema, row_schema_with_metadata
from pipeline.shard_failures import ShardFailure
from pipeline.spec import FieldsConfig, FiltersConfig

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


class _Model(Config):
    """Stands for a checkpoint's settings, which belong to the model folder and not to these files."""

    d_model: int = 8
    streams: str = "joint"


SHARDS = (
    PlannedShard(shard_id="000000-00000", url="s3://corpus/x/00000.tar", size=20_480, etag="9b2c", rows=12),
    PlannedShard(shard_id="000001-00000", url="/corpus/y/00000.tar", size=0, etag="1700000000000000000-0"),
)
PARTS = fingerprint_parts(
    shards=SHARDS,
    model_digest="d" * 64,
    model_config=_Model(),
    untrained=True,
    task="caption",
    prompt="what does the image describe?",
    answers={},
    fields=FieldsConfig(),
    limits={"max_member_mib": 256, "max_pixels": 1000},
    exits=ExitConfig(joint=0.9, decoder=(0.5, 0.75)),
    generation=GenerationConfig(),
    filters=FiltersConfig(),
    image_size=32,
    dtype="float32",
)
PLAN = Plan(
    shards=SHARDS,
    fingerprint=fingerprint_of(PARTS),
    fingerprint_parts=PARTS,
    audit_seed=7,
    audit_rates={"shallow": 0.01, "deep": 0.001},
    fields=FieldsConfig(),
)
RECEIPT = Receipt(
    id="20260101T000000-3-0",
    attempt="20260101T000000",
    part=Part(path="data/20260101T000000-3-0.parquet", rows=7, bytes=1234, sha256="a" * 64),
    ranges={"000000-00000": ((0, 3), (8, 12))},
    totals={"000000-00000": 12, "000001-00000": 0},
    shards={
        "000000-00000": ShardOutcome(state=ShardState.DONE),
        "000001-00000": ShardOutcome(state=ShardState.BAD, code=ShardCode.EMPTY_FILE, message="zero bytes"),
    },
    replaces=("data/20251231T000000-3-0.parquet",),
)
MANIFEST = Manifest(
    fingerprint=PLAN.fingerprint,
    rows=7,
    shards=2,
    parts=(RECEIPT.part,) if RECEIPT.part else (),
    files={"plan.json": FileDigest(bytes=10, sha256="b" * 64)},
)
FAILURE = ShardFailure(
    shard_id="000001-00000", code=ShardCode.EMPTY_FILE, message="zero bytes", url="/corpus/y/00000.tar", attempts=2
)


def _schema_text(schema: pa.Schema) -> str:
    lines = [f"{field.name}: {field.type}{'' if field.nullable else ' not null'}" for field in schema]
    lines += [f"metadata {key.decode()} = {value.decode()}" for key, value in sorted((schema.metadata or {}).items())]
    return "\n".join(lines) + "\n"


def _uids_text() -> str:
    urls = ["shards/00000.tar", "s3://bucket/b/00000.tar.gz", "https://host/coco-7.tar?token=a/b.c", "/x/é ü.tgz"]
    return "".join(
        f"{url} -> {uid_of(shard_id_of(index, url), 17 * index, index % 2)}\n" for index, url in enumerate(urls)
    )


DOCUMENTS = {
    "plan.json": PLAN.to_json().decode(),
    "receipt.json": RECEIPT.to_json().decode(),
    "manifest.json": MANIFEST.to_json().decode(),
    "shard_failure.json": FAILURE.to_json().decode(),
    "row_schema.txt": _schema_text(row_schema_with_metadata("0" * 64)),
    "decoded_schema.txt": _schema_text(decoded_schema(32)),
    "exit_codes.txt": "".join(f"{code.value} {code.name}\n" for code in ExitCode),
    "uids.txt": _uids_text(),
    "fingerprint.json": canonical_json({"fingerprint": fingerprint_of(PARTS), "parts": PARTS}, indent=1).decode(),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_stays_as_it_is(name: str) -> None:
    if os.environ.get("MUE_WRITE_GOLDEN"):
        (GOLDEN / name).write_text(DOCUMENTS[name], encoding="utf-8")
    assert DOCUMENTS[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_golden_files_can_be_read_back() -> None:
    assert Plan.from_json((GOLDEN / "plan.json").read_bytes()) == PLAN
    assert Receipt.from_json((GOLDEN / "receipt.json").read_bytes(), where="receipt.json") == RECEIPT
    assert Manifest.from_json((GOLDEN / "manifest.json").read_bytes()) == MANIFEST
    assert ShardFailure.from_json((GOLDEN / "shard_failure.json").read_bytes(), where="shard_failure.json") == FAILURE
    for line in (GOLDEN / "uids.txt").read_text(encoding="utf-8").splitlines():
        uid = line.split(" -> ")[1]
        assert uid_of(*parse_uid(uid)) == uid
    for index in (0, 999_999, 1_000_000):  # a corpus of any size
        assert parse_uid(uid_of(shard_id_of(index, "a/b.tar"), 7, 2)) == (shard_id_of(index, "a/b.tar"), 7, 2)


def test_what_is_committed_has_the_columns_of_a_row() -> None:
    assert COMMIT_SCHEMA.names[: len(ROW_SCHEMA)] == ROW_SCHEMA.names
    assert all(COMMIT_SCHEMA.field(field.name).type == field.type for field in ROW_SCHEMA)


def test_the_entry_of_a_bad_shard_is_a_file_whatever_the_shard_is_called() -> None:
    """Stems may hold backslashes or be as long as a file name may be; the index in front keeps entries apart."""
    paths = {
        FAILURE.model_copy(update={"shard_id": shard_id}).path
        for shard_id in ("000000-back\\slash", "000001-" + "x" * 251, "000002-" + "x" * 251, "000003-späte bilder")
    }
    assert len(paths) == 4
    assert all(len(path) < 120 and "\\" not in path and path.isascii() for path in paths)
