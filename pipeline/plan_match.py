"""Whether two plans are the same job, and in words what tells them apart."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

from pipeline.errors import some
from pipeline.fingerprint import explain_difference
from pipeline.plan import Plan, PlannedShard
from pipeline.receipts import LedgerError

_LOCAL_VERSION = re.compile(r"^(?P<ns>\d{10,})-\d+$")
"""What a local file has for an etag: its modification time and its size."""
_UNCOUNTED = {"rows": None, "rows_from": None}
"""How many rows a shard has was found out, or not, when it was planned."""


class FingerprintMismatch(LedgerError):
    """The output folder belongs to a job with other inputs or settings."""


def check_same_job(present: Plan, plan: Plan, *, where: str) -> None:
    """Return only if `plan` may go on where `present` left off.

    Raises:
        FingerprintMismatch: Something that may change a row differs, or what is audited; every such setting and shard
            is named.
    """
    if present.fingerprint == plan.fingerprint:
        _check_unedited(present, plan, where=where)
        _check_same_audit(present, plan, where=where)
        return
    differences = shard_differences(present.shards, plan.shards)
    lines = explain_difference(present.fingerprint_parts, plan.fingerprint_parts)
    differences += [line for line in lines if not (differences and line.startswith("inputs."))]
    raise FingerprintMismatch(
        f"{where} holds a job with other inputs or settings (there -> now): "
        f"{'; '.join(differences) or 'the fingerprints differ'}. "
        "Choose another --output, or go back to the settings and shards of that job"
    )


def _check_unedited(present: Plan, plan: Plan, *, where: str) -> None:
    """The fingerprint vouches for the shards: a plan that lost one by hand would end well without its rows."""
    differences = shard_differences(present.shards, plan.shards)
    differences += explain_difference(present.fingerprint_parts, plan.fingerprint_parts)
    if differences:
        raise FingerprintMismatch(
            f"{where}/plan.json was changed after it was written: its fingerprint is that of other shards or settings "
            f"(there -> as planned): {'; '.join(differences)}. Restore it, or move it away: the same command plans anew"
        )


def _check_same_audit(present: Plan, plan: Plan, *, where: str) -> None:
    """What is audited is fixed before the first row, or the choice could follow the answers."""
    differences = [
        f"{name.replace('_', '.', 1)} {getattr(present, name)} -> {getattr(plan, name)}"
        for name in ("audit_seed", "audit_rates", "audit_margin", "audit_windows")
        if getattr(present, name) != getattr(plan, name)
    ]
    if differences:
        raise FingerprintMismatch(
            f"{where} holds a plan with another audit (there -> now): {'; '.join(differences)}. What is audited is "
            "fixed before the first row: go back to the settings of that plan, choose another --output, or let the "
            "job finish and use 'mue audit run'"
        )


def shard_differences(old: Iterable[PlannedShard], new: Iterable[PlannedShard]) -> list[str]:
    """Return in words which shards were added, removed or changed; empty if none were."""
    before, after = {shard.shard_id: shard for shard in old}, {shard.shard_id: shard for shard in new}
    added, removed = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    changed = [
        _change(before[shard_id], after[shard_id])
        for shard_id in sorted(before.keys() & after.keys())
        if before[shard_id].model_copy(update=_UNCOUNTED) != after[shard_id].model_copy(update=_UNCOUNTED)
    ]
    found = {"added": added, "removed": removed, "changed": changed}
    return [f"shards {word}: {some(shards)}" for word, shards in found.items() if shards]


def _change(old: PlannedShard, new: PlannedShard) -> str:
    """As in `000001-b (10,240 bytes of 2026-01-31 09:00:00 UTC -> 512 bytes of 2026-02-01 10:00:00 UTC)`."""
    if old.url != new.url:
        return f"{old.shard_id} ({old.url} -> {new.url})"
    return f"{old.shard_id} ({_version(old)} -> {_version(new)})"


def _version(shard: PlannedShard) -> str:
    local = _LOCAL_VERSION.match(shard.etag)
    if local is None:
        return f"{shard.size:,} bytes, version {shard.etag}"
    at = datetime.datetime.fromtimestamp(int(local["ns"]) / 1e9, datetime.UTC)
    return f"{shard.size:,} bytes of {at:%Y-%m-%d %H:%M:%S.%f} UTC"
