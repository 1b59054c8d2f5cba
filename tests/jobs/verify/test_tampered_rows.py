"""Figures, texts and depths of a row that were edited, and rows that were removed or doubled, are found and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.exit_codes import ExitCode


def test_one_rows_flops_edited(copy: Any) -> None:
    where = copy.edit_row(1, flops_executed=lambda row: row["flops_executed"] - 1000)
    found = copy.verify()
    assert found.exit_code is ExitCode.MISMATCH
    assert f"{where}: flops_executed" in copy.named(found)["costs"]
    assert ("digests" in copy.named(found)) is not copy.forged
    assert found.evidence.level == 0


@pytest.mark.parametrize(
    "column", ["flops_full_same_length", "flops_checks", "flops_kv_fill", "checks", "flops_reused_text", "flops_reused"]
)
def test_any_other_figure_edited(forged: Any, column: str) -> None:
    where = forged.edit_row(0, **{column: lambda row: row[column] + 10})
    said = forged.mismatches()
    assert where in said.get("costs", "") + said.get("sharing", "")


def test_a_row_removed(copy: Any) -> None:
    path = copy.parts()[0]
    copy.edit(path, lambda rows: rows[:2] + rows[3:])
    said = copy.mismatches()
    assert "000000-00000/2/0" in said["rows"]
    assert path in said["rows"]


def test_a_row_duplicated(copy: Any) -> None:
    path = copy.parts()[1]
    copy.edit(path, lambda rows: [rows[0], *rows])
    assert "000000-00000/5/0 once and in its place, found twice" in copy.mismatches()["rows"]


def test_a_row_removed_and_its_receipt_rewritten(forged: Any) -> None:
    path = forged.parts()[0]
    forged.edit(path, lambda rows: rows[:2] + rows[3:])
    receipt = f"done/{Path(path).stem}.json"
    document = forged.json(receipt)
    document["ranges"]["000000-00000"] = [[0, 2], [3, 5]]
    forged.write_json(receipt, document)
    assert "shard 000000-00000: expected every row once, found without rows [(2, 3)]" in forged.mismatches()["tiling"]


def test_captions_truncated(copy: Any) -> None:
    where = copy.edit_row(2, text=lambda row: row["text"][: len(row["text"]) // 2])
    assert f"{where}: text" in copy.mismatches()["texts"]


def test_captions_truncated_with_their_tokens(forged: Any) -> None:
    where = forged.edit_row(
        2, text=lambda row: row["text"].rsplit(" ", 1)[0], tokens=lambda row: [*row["tokens"][:-2], 2]
    )
    said = forged.mismatches()
    assert f"{where}: n_tokens" in said["texts"]
    assert f"{where}: decoder_layers_run" in said["depths"]


def test_another_prompt(forged: Any) -> None:
    where = forged.edit_row(0, prompt=" what colour is it?")
    assert f"{where}: prompt" in forged.mismatches()["texts"]


def test_an_illegal_depth(forged: Any) -> None:
    where = forged.edit_row(3, image_layers_run=7)
    said = forged.mismatches()
    assert f"{where}: image_layers_run: expected 1..6" in said["depths"]
