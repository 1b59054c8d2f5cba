"""A `DryRun` as tables for people and as plain values for programs; both say the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group as Stack
from rich.table import Table
from rich.text import Text

from jobs.dry_run import DryRun
from jobs.job_folder import planned_model
from jobs.progress import duration
from jobs.sample import SHARDS
from jobs.terminal import pairs_table, printable
from jobs.time_estimate import START_S

SCHEMA_VERSION = 1
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_KINDS = {
    "tar": ("tar", "tars"),
    "parquet": ("Parquet file", "Parquet files"),
    "folder": ("run of a folder", "runs of folders"),
}
_SAID = {
    "counted": "counted in tar headers",
    "footer": "in Parquet footers",
    "listed": "files listed",
    "side-car": "by side-cars",
}


def dry_run_facts(found: DryRun) -> dict[str, Any]:
    """Return every fact of the tables, ready for JSON."""
    job, sample, time = found.job, found.sample, found.time
    return {
        "schema_version": SCHEMA_VERSION,
        "output": job.spec.output.url,
        "fingerprint": job.plan.fingerprint,
        "plan_is_new": found.is_new,
        "shards": len(job.plan.shards),
        "shards_by_kind": found.kinds,
        "bytes": sum(shard.size for shard in job.plan.shards),
        "rows": {**asdict(found.rows), "rows": found.rows.rows, "images": found.rows.images, "exact": found.rows.exact},
        "model": {"name": job.facts.name, "digest": job.facts.digest, "caveat": planned_model(job.plan).caveat},
        "exits": job.exits.model_dump(mode="json"),
        "sample": [_row_facts(row) for row in sample.rows],
        "measured": {
            name: getattr(sample, name)
            for name in ("read_ms", "decode_ms", "rows_per_s", "measured_rows", "load_s", "device", "threads")
        },
        "estimate": asdict(time),
        "not_known": list(found.unknown),
    }


def dry_run_view(found: DryRun) -> Stack:
    """Return inputs and rows, then the sampled rows, then time and cost with how they were made."""
    parts: list[Any] = [pairs_table(_inputs(found))]
    if found.sample.rows:
        parts += [Text(), _sample_table(found)]
    return Stack(*parts, Text(), pairs_table(_estimate(found)))


def _inputs(found: DryRun) -> list[tuple[str, str]]:
    job = found.job
    kinds = ", ".join(f"{count:,} {_KINDS[kind][count != 1]}" for kind, count in found.kinds.items())
    n_bytes = sum(shard.size for shard in job.plan.shards)
    exits = job.spec.exits if isinstance(job.spec.exits, str) else "as given"
    return [
        ("shards", f"{len(job.plan.shards):,}: {kinds}; {size(n_bytes)}"),
        ("rows", _rows(found)),
        ("task", job.spec.task),
        ("model", (planned_model(job.plan).caveat or job.facts.name).removeprefix("model ")),
        ("exits", exits),
        ("plan", f"{job.spec.output.url}/plan.json, {'written' if found.is_new else 'was there, unchanged'}"),
    ]


def _rows(found: DryRun) -> str:
    rows = found.rows
    parts = [f"{count:,} {_SAID.get(source, source)}" for source, count in rows.by_source.items()]
    if rows.estimated_shards:
        how = f"about {rows.estimated_images:,} estimated from {rows.estimated_shards:,} shards' sizes"
        parts.append(how + (f" at {size(rows.bytes_per_image)} an image" if rows.bytes_per_image else ""))
    if rows.rows_per_image != 1:
        parts.append(f"each with {rows.rows_per_image:.1f} queries, as sampled")
    return f"{'' if rows.exact else '~'}{rows.rows:,}: {', '.join(parts) or 'no shard has any'}"


def _sample_table(found: DryRun) -> Table:
    config = found.job.facts.config
    table = Table(box=None, pad_edge=False)
    table.add_column("row", overflow="fold")
    table.add_column("pixels", justify="right")
    table.add_column("layers: image", justify="right")
    table.add_column("text", justify="right")
    table.add_column("token", justify="right")
    table.add_column("FLOPs", justify="right")
    table.add_column("prompt", overflow="fold")
    table.add_column("answer", overflow="fold")
    for row in found.sample.rows:
        facts = _row_facts(row)
        tokens, share = facts["mean_decoder_layers"], facts["flops_share"]
        table.add_row(
            Text(printable(f"{row['uid']} {row['key']}")),
            f"{row['width']} x {row['height']}" if row["width"] else "-",
            _of(row["image_layers_run"], config.encoder_layers),
            _of(row["text_layers_run"], config.encoder_layers),
            "-" if tokens is None else f"{tokens:.1f}/{config.decoder_layers}",
            "-" if share is None else f"{100 * share:.0f} %",
            Text(printable((row["prompt"] or "").strip())),
            _answer(row),
        )
    return table


def _answer(row: dict[str, Any]) -> Text:
    if row["status"] == "ok":
        return Text(printable(row["label"] or row["text"] or ""))
    return Text(printable(f"{row['status']}: {row['error_code'] or ''} {row['error_message'] or ''}"), style="red")


def _estimate(found: DryRun) -> list[tuple[str, str]]:
    sample, time = found.sample, found.time
    lines = []
    if time.wall_s is None:
        lines.append(("time", "not known"))
    else:
        lines += [
            ("time", f"~{duration(time.wall_s)}, bound by the slowest stage: {time.bound_by}"),
            (f"{time.device} hours", f"~{time.device_hours:,.2f}"),
        ]
    if time.cost is not None:
        lines.append(("cost", f"~{time.cost:,.2f}, the price of an hour times the hours"))
    lines += [(f"  {stage}", f"{rate:,.1f} rows/s, {_how(stage, found)}") for stage, rate in time.stages.items()]
    lines.append(("  start", f"{sample.load_s:.1f} s to load the model, measured; {START_S:.0f} s for Ray, assumed"))
    return lines + [("not known" if index == 0 else "", text) for index, text in enumerate(found.unknown)]


def _how(stage: str, found: DryRun) -> str:
    sample = found.sample
    if stage == "answer":
        where = f"{sample.threads} threads of this CPU" if sample.device == "cpu" else f"one {sample.device} an actor"
        return f"measured over {sample.measured_rows:,} copies of the sampled rows, on {where}"
    per_row = sample.read_ms if stage == "read" else sample.decode_ms
    return f"from {per_row:.1f} ms an image, mean over {len(sample.rows)} rows out of at most {SHARDS} shards"


def _row_facts(row: dict[str, Any]) -> dict[str, Any]:
    kept = ("uid", "key", "status", "error_code", "error_message", "prompt", "text", "label", "width", "height")
    depths, full = row["decoder_layers_run"], row["flops_full_same_length"]
    return {
        **{name: row[name] for name in kept},
        "image_layers_run": row["image_layers_run"],
        "text_layers_run": row["text_layers_run"],
        "mean_decoder_layers": sum(depths) / len(depths) if depths else None,
        "flops_share": row["flops_executed"] / full if full else None,
    }


def _of(layers: int | None, limit: int) -> str:
    return "-" if layers is None else f"{layers}/{limit}"


def size(n_bytes: float) -> str:
    """Return a number of bytes in the largest unit that leaves a whole part, as in `1.4 GiB`."""
    power = 0
    while n_bytes >= 1024 and power < len(_UNITS) - 1:
        n_bytes /= 1024
        power += 1
    return f"{n_bytes:.0f} {_UNITS[power]}" if power == 0 else f"{n_bytes:.1f} {_UNITS[power]}"
