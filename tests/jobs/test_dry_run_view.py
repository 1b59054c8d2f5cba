"""A dry run in words."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image
from typer.testing import Result

from jobs.dry_run_view import size


def jpeg(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(out, "JPEG")
    return out.getvalue()


def test_the_table_says_how_figures_were_made(
    mue: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jobs.sample.MEASURE_IMAGES", 32)
    for name, compress in (("a.tar", False), ("b.tar.gz", True)):
        with webdataset.TarWriter(name, mtime=0, compress=compress) as writer:
            writer.write({"__key__": "bad\x1b[31m", "jpg": b"no image"})
            writer.write({"__key__": "good", "jpg": jpeg("red")})
    Path("b_stats.json").write_text('{"successes": 4}')
    pq.write_table(pa.table({"image": [jpeg("blue")] * 3}), "t.parquet")
    result = mue("plan", "a.tar", "b.tar.gz", "t.parquet", "--output", "out", "--model", "seeded")
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    for said in (
        "~9: 2 counted in tar headers, 4 by side-cars, 3 in Parquet footers",
        "2 tars, 1 Parquet file; ",
        "unknown_format",
        "bound by the slowest stage",
        "measured over 32 copies of the sampled rows",
        "s for Ray, assumed",
        "cost: give --price-per-hour",
        "whether side-cars are right",
        "out/plan.json, written",
    ):
        assert said in text
    assert "\x1b" not in result.stdout, "names inside a tar may hold terminal commands"


@pytest.mark.parametrize(
    ("n_bytes", "said"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3.5 * 2**30, "3.5 GiB"), (2**70, "1048576.0 PiB")],
)
def test_sizes(n_bytes: float, said: str) -> None:
    assert size(n_bytes) == said
