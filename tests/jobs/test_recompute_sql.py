"""The script gives the headline to the last digit, in duckdb's own command line too."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobs.headline import headline, quotient
from jobs.recompute_sql import recompute_sql, recomputed
from jobs.savings import savings

HUGE = 2**62 + 12345
SHADOW = {"text": "a", "n_tokens": 2, "layers": [4, 4], "flops": HUGE, "agrees": True}


def fill(job: Any) -> None:
    """Rows of every status and two tasks whose sums do not fit int64, and work that was done twice."""
    big = {"flops_executed": HUGE, "flops_full_same_length": 2**63 - 1}
    job.commit(
        "a1-0-0",
        *[
            job.row("000000-a", n, **big, image_layers_run=n % 6 + 1, decoder_layers_run=[1] * n + [4])
            for n in range(7)
        ],
        job.row("000000-a", 7, shadow=SHADOW),
        job.row("000000-a", 8, shadow=SHADOW | {"agrees": False}, text_layers_run=6),
        job.failed_row("000000-a", 9),
        job.end("000000-a", 10),
    )
    job.commit(
        "a1-1-0",
        job.row("000001-b", 0, task="vqa", **big),
        job.row("000001-b", 1, status="filtered"),
        job.end("000001-b", 2),
    )
    job.commit("a2-0-0", *[job.row("000000-a", n, attempt_id="a2", flops_executed=HUGE) for n in (1, 2)])


def test_sql_and_census_agree_to_the_last_digit(job: Any) -> None:
    fill(job)
    job.finish()
    found = savings(job.ledger)
    lines, tasks, steps = recomputed(job.ledger.storage, recompute_sql(found))

    assert {line["name"]: line["value"] for line in lines} == headline(found)
    assert found.total.flops_executed > 2**63, "int64 would have wrapped"
    assert found.discarded.flops == 2 * HUGE
    assert [(line["task"], int(line["flops_executed"])) for line in tasks] == [
        (task.task, task.flops_executed) for task in found.tasks
    ]
    assert {(line["task"], line["step"], line["layers_run"]): line["tokens"] for line in steps} == {
        (task.task, step.step, depth): tokens
        for task in found.tasks
        for step in task.steps
        for depth, tokens in step.by_depth.items()
    }


def test_files_that_the_manifest_does_not_list_do_not_count(finished: Any) -> None:
    data = finished.folder / "data"
    shutil.copy(next(data.iterdir()), data / "more.parquet")
    lines = recomputed(finished.ledger.storage, recompute_sql(savings(finished.ledger)))[0]
    assert {line["name"]: line["value"] for line in lines}["rows"] == "10"


def test_it_runs_in_duckdbs_own_command_line(job: Any) -> None:
    duckdb = shutil.which("duckdb")
    if duckdb is None:
        pytest.skip("duckdb's command line is not installed (pip install duckdb-cli)")
    fill(job)
    job.finish()
    found = savings(job.ledger)
    script = Path(job.folder, "report", "recompute.sql")
    script.parent.mkdir()
    script.write_text(recompute_sql(found), "utf-8")

    done = subprocess.run(
        [duckdb, "-csv"], stdin=script.open(), cwd=job.folder, capture_output=True, text=True, check=True, timeout=60
    )

    lines = list(csv.reader(io.StringIO(done.stdout)))
    said = dict(line for line in lines[1 : 1 + len(headline(found))] if len(line) == 2)
    assert said == headline(found)


def test_a_job_without_answers_has_no_share(job: Any) -> None:
    job.commit("a1-0-0", job.failed_row("000000-a", 0), job.end("000000-a", 1), job.end("000001-b", 0))
    job.finish()
    found = savings(job.ledger)
    lines = recomputed(job.ledger.storage, recompute_sql(found))[0]
    values = {line["name"]: line["value"] for line in lines}
    assert values == headline(found)
    assert values["share_net"] is values["paper_layer_metric"] is None


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 3, "0.333333333333"), (-2, 3, "-0.666666666666"), (10**25, 3 * 10**25, "0.333333333333")],
)  # fmt: skip
def test_quotients_are_cut_off(part: int, whole: int, text: str) -> None:
    assert quotient(part, whole) == text
