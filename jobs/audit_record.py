"""What `mue audit run` leaves in `audit/`: a JSON document and a Parquet file for each audit, written at its end."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from mue_model.config import Config, ConfigError
from pipeline.canonical_json import canonical_json, digest_of, parse_json
from pipeline.ledger import Ledger
from pipeline.manifest import FileDigest, file_digest
from pipeline.receipts import LedgerError
from pipeline.records import ROW_SCHEMA
from pipeline.shadow_strata import Stratum
from pipeline.storage import FileAbsent

FOLDER = "audit"

AUDIT_SCHEMA = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("image_sha256", pa.string()),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("answer", pa.string()),
        pa.field("reproduced", pa.bool_()),
        ROW_SCHEMA.field("shadow"),
    ],
    metadata={"audit_schema_version": "1"},
)
"""One row for each selected row that came. `answer`: what is committed, the label where candidates were scored;
`reproduced`: whether running the row again with its exits gave the same answer."""


class AuditRecord(Config):
    """`AuditRecord` v1: what was looked at, by which rule, and what was found about time."""

    schema_version: Literal[1] = 1
    attempt: str
    began: str
    """UTC, ISO 8601."""
    wall_s: float
    fingerprint: str
    """Of the plan; inputs and model were found to be the planned ones."""
    parts_digest: str
    """Of the live parts as they were: paths and SHA-256."""
    seed: int
    rates: dict[Stratum, float]
    rule_from: Literal["plan", "audit"]
    """Whether the rule was fixed before the job ran, or only for this audit."""
    margin: float | None
    margin_from: Literal["plan", "audit"] | None
    rows_selected: int = Field(ge=0)
    rows_shadowed: int = Field(ge=0)
    rows_reproduced: int = Field(ge=0)
    """Of those shadowed: running them again with exits gave the committed answer."""
    packages: dict[str, str]
    cores: int
    shadows: FileDigest | None
    """Of the Parquet file beside this one; None where no row was selected."""
    windows: tuple[dict[str, Any], ...] = ()
    """As the processes wrote them down."""

    @property
    def path(self) -> str:
        """Its place in the output folder."""
        return f"{FOLDER}/{self.attempt}.json"

    @property
    def shadows_path(self) -> str:
        """Place of its Parquet file."""
        return f"{FOLDER}/{self.attempt}.parquet"

    def to_json(self) -> bytes:
        """Return the bytes of its file."""
        return canonical_json(self.model_dump(mode="json"), indent=1)


def parts_digest(ledger: Ledger) -> str:
    """Return the digest of the live parts as they are."""
    return digest_of(canonical_json([[part.path, part.sha256] for part in ledger.live_parts()]))


def audit_records(ledger: Ledger) -> list[AuditRecord]:
    """Return what audits left, the latest last; an audit that was killed has left nothing.

    Raises:
        LedgerError: A file there is no such record.
    """
    found = []
    for path in ledger.storage.list(FOLDER):
        if path.endswith(".json"):
            try:
                found.append(parse_json(AuditRecord, ledger.storage.read(path), where=f"{ledger.storage.url}/{path}"))
            except ConfigError as error:
                raise LedgerError(f"{error}; this is no record of an audit: delete it") from error
    return sorted(found, key=lambda record: record.attempt)


def audited_rows(ledger: Ledger, record: AuditRecord) -> dict[str, Mapping[str, Any]]:
    """Return the rows of an audit by uid.

    Raises:
        LedgerError: Its Parquet file is gone or is not the one that it wrote.
    """
    if record.shadows is None:
        return {}
    where = f"{ledger.storage.url}/{record.shadows_path}"
    try:
        data = ledger.storage.read(record.shadows_path)
        table = pq.read_table(io.BytesIO(data), schema=AUDIT_SCHEMA)
    except (FileAbsent, pa.ArrowException) as error:
        raise LedgerError(f"{where} cannot be read ({error}); run 'mue audit run' again") from error
    if file_digest(data) != record.shadows:
        raise LedgerError(f"{where} is not the file that the audit wrote; run 'mue audit run' again")
    return {row["uid"]: row for row in table.to_pylist()}


def audit_answers(ledger: Ledger) -> Iterator[tuple[str, str | None, bool]]:
    """Yield uid, full depth's answer and whether it agrees, of the latest audit that ran rows; nothing without one."""
    records = [record for record in audit_records(ledger) if record.shadows is not None]
    if records:
        for uid, row in audited_rows(ledger, records[-1]).items():
            yield uid, row["shadow"]["text"], row["shadow"]["agrees"]
