"""What nothing in the folder contradicts is found by running rows again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mue_model.model_names import model_facts
from mue_model.tuning.family import constant_depth
from pipeline.exit_codes import ExitCode


def test_captions_beside_other_keys_are_found_by_running_them_again(forged: Any) -> None:
    for path in forged.parts():
        keys = [row["key"] for row in pq.read_table(forged.folder / path).to_pylist()]
        forged.edit(path, lambda rows, keys=keys: [row | {"key": keys[n - 1]} for n, row in enumerate(rows)])  # type: ignore[misc]
    assert forged.mismatches() == {}
    assert "expected key " in forged.mismatches(rerun=19)["rerun"]


def test_a_caption_that_the_model_does_not_give_is_found_by_running_it_again(forged: Any) -> None:
    tokenizer = model_facts("demo").processor.tokenizer

    def swapped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            if row["shadow"] is None:
                row["tokens"] = [row["tokens"][1], *row["tokens"][1:]]
                row["text"] = tokenizer.decode(row["tokens"]).strip()
        return rows

    for path in forged.parts():
        forged.edit(path, swapped)
    assert forged.mismatches() == {}, "nothing in the folder contradicts it"
    assert "image and" in forged.mismatches(rerun=19)["rerun"]


def agreeing(rows: list[dict[str, Any]], texts: list[str | None]) -> list[dict[str, Any]]:
    """Rows whose shadows say what the rows say, with the layers and FLOPs of that; their texts of before in `texts`."""
    model = model_facts("demo").config
    for row in rows:
        if row["shadow"] is not None and not row["shadow"]["agrees"]:
            texts.append(row["shadow"]["text"])
            layers = [*[model.encoder_layers] * 2, *[model.decoder_layers] * row["n_tokens"]]
            # Its FLOPs at full depth and the same length are those of such a shadow.
            row["shadow"] = {
                "text": row["text"], "n_tokens": row["n_tokens"], "layers": layers,
                "flops": row["flops_full_same_length"], "agrees": True,
            }  # fmt: skip
    return rows


def test_agreement_forged_throughout_is_found_by_running_shadows_again(
    run_here: Any, tmp_path: Path, labelled_hard: Path, copy_of: Any
) -> None:
    shallow = constant_depth(model_facts("demo").config, 1).model_dump(mode="json")
    run_here(tmp_path / "out", [str(labelled_hard)], audit={"rate": 0.99}, exits=shallow)
    copy, texts = copy_of(tmp_path / "out"), list[str | None]()
    for path in copy.parts():
        copy.edit(path, lambda rows: agreeing(rows, texts))
    assert texts, "exits did change an answer"
    assert copy.mismatches() == {}, "nothing in the folder contradicts it"
    said = copy.mismatches(rerun=16)["rerun"]
    assert ": shadow: expected " in said
    assert repr(texts[0]) in said


def as_failed(copy: Any, number: int, **failure: str) -> str:
    """Pass an answered row off as failed; return where it is."""
    answer = ("text", "label", "finish_reason", "n_tokens", "tokens", "decoder_layers_run", "shadow", "flops_executed")
    where = copy.edit_row(number, **dict.fromkeys(answer), status="failed", error_message="no luck", **failure)
    [path] = [path for path in where.split() if path.startswith("data/")]
    manifest = copy.manifest
    [part] = [part for part in manifest["parts"] if part["path"] == path]
    part["failed"] = 1
    copy._vouch(manifest, part)
    copy.write_json("manifest.json", manifest)
    return where


def test_a_good_row_passed_off_as_failed_is_found_by_running_it_again(forged: Any) -> None:
    where = as_failed(forged, 1, error_stage="decode", error_code="corrupt_image")
    assert forged.mismatches() == {}
    assert f"{where}: expected ok None, found failed corrupt_image" in forged.mismatches(rerun=19)["rerun"]


@pytest.mark.parametrize(("code", "said"), [("model_error", "image and"), ("poison", "is not run again")])
def test_a_good_row_passed_off_as_failed_at_the_model_is_no_pass(forged: Any, code: str, said: str) -> None:
    where = as_failed(forged, 1, error_stage="infer", error_code=code)
    found = forged.verify(rerun=19)
    [check] = [check for check in found.checks if check.name == "rerun"]
    assert (check.verdict, found.exit_code) == ("not_checked", ExitCode.OK), "an honest machine may have failed"
    assert check.notes[0].startswith(f"{where}: {code} is not reproduced: ")
    assert said in check.notes[0]
