"""What audits left after a job is of that job, and does not pass for what was fixed before it ran."""

from __future__ import annotations

from jobs.audit_record import AuditRecord, audit_records
from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from pipeline.actor_audit import shadow_selection
from pipeline.plan import Plan


def audits(folder: Folder, tally: Tally) -> None:
    """What audits left can be read, is of this job, and says rightly what was fixed before the job ran."""
    assert folder.plan is not None
    for record in audit_records(folder.ledger):
        tally.expect(f"{record.path}: fingerprint", folder.plan.fingerprint, record.fingerprint)
        _rule(record, folder.plan, tally)
        _margin(record, folder.plan, tally)


def _rule(record: AuditRecord, plan: Plan, tally: Tally) -> None:
    planned = shadow_selection(plan)
    tally.expect(f"{record.path}: rule_from", "plan" if planned.any else "audit", record.rule_from)
    if planned.any:
        tally.expect(f"{record.path}: seed", planned.seed, record.seed)
        tally.expect(f"{record.path}: rates", dict(planned.rates), record.rates)


def _margin(record: AuditRecord, plan: Plan, tally: Tally) -> None:
    if plan.audit_margin is not None:
        tally.expect(f"{record.path}: margin", plan.audit_margin, record.margin)
        tally.expect(f"{record.path}: margin_from", "plan", record.margin_from)
    else:
        tally.expect(f"{record.path}: margin_from", None if record.margin is None else "audit", record.margin_from)
