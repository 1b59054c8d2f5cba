"""An honest job passes, wherever it lies; each way to tamper with it is found, and the message names the evidence."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.verify import Verification, VerifySettings, verify
from mue_model.model_names import model_facts
from pipeline.canonical_json import canonical_json
from pipeline.exit_codes import ExitCode
from pipeline.fingerprint import fingerprint_of
from pipeline.ledger import Ledger
from pipeline.manifest import file_digest
from pipeline.storage import Storage


class Copy:
    """A copy of an output folder to tamper with. `forged`: digests are made anew, as a thorough forger would."""

    def __init__(self, folder: Path, *, forged: bool = True) -> None:
        self.folder, self.forged = folder, forged

    @property
    def manifest(self) -> dict[str, Any]:
        return self.json("manifest.json")

    def json(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / path).read_bytes())
        return found

    def write_json(self, path: str, document: dict[str, Any]) -> None:
        self.write(path, canonical_json(document, indent=1 if path in ("plan.json", "run.json") else None))

    def write(self, path: str, data: bytes) -> None:
        """Write a file, and have manifest and receipt vouch for it where the copy is a forged one."""
        (self.folder / path).write_bytes(data)
        if not self.forged or path == "manifest.json":
            return
        manifest, digest = self.manifest, file_digest(data)
        for part in manifest["parts"]:
            if part["path"] == path:
                part |= {
                    "bytes": digest.bytes,
                    "sha256": digest.sha256,
                    "rows": pq.read_metadata(self.folder / path).num_rows,
                }
                self._vouch(manifest, part)
        if path in manifest["files"]:
            manifest["files"][path] = digest.model_dump()
        manifest["rows"] = sum(part["rows"] for part in manifest["parts"])
        (self.folder / "manifest.json").write_bytes(canonical_json(manifest, indent=1))

    def _vouch(self, manifest: dict[str, Any], part: dict[str, Any]) -> None:
        receipt_path = f"done/{Path(part['path']).stem}.json"
        data = canonical_json(self.json(receipt_path) | {"part": part})
        (self.folder / receipt_path).write_bytes(data)
        manifest["files"][receipt_path] = file_digest(data).model_dump()

    def parts(self) -> list[str]:
        """Paths of the parts that hold answers."""
        return [part["path"] for part in self.manifest["parts"] if not part["failed"]]

    def edit(self, path: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Write a part anew with other rows."""
        table = pq.read_table(self.folder / path)
        changed = pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema)
        sink = pa.BufferOutputStream()
        pq.write_table(changed, sink, compression="zstd")
        self.write(path, sink.getvalue().to_pybytes())

    def edit_row(self, number: int, **values: Any) -> str:
        """Change columns of one row of the first part; return where it is."""
        path, uid = self.parts()[0], ""

        def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            nonlocal uid
            uid = rows[number]["uid"]
            rows[number] |= {name: value(rows[number]) if callable(value) else value for name, value in values.items()}
            return rows

        self.edit(path, change)
        return f"{path} {uid}"

    def verify(self, **settings: Any) -> Verification:
        return verify(Ledger(Storage.open(str(self.folder))), VerifySettings(**settings))


@pytest.fixture(params=[True, False], ids=["digests made anew", "digests as they were"])
def copy(honest: Path, tmp_path: Path, request: Any) -> Copy:
    shutil.copytree(honest, tmp_path / "copy")
    return Copy(tmp_path / "copy", forged=request.param)


@pytest.fixture
def forged(honest: Path, tmp_path: Path) -> Copy:
    shutil.copytree(honest, tmp_path / "copy")
    return Copy(tmp_path / "copy")


def mismatches(found: Verification) -> dict[str, str]:
    """What does not agree, by the name of the check, as one text."""
    return {check.name: " | ".join(map(str, check.findings)) for check in found.checks if check.verdict == "mismatch"}


def test_an_honest_job_passes_every_test_that_can_be_made(honest: Path) -> None:
    found = Copy(honest).verify(rerun=19)
    assert {check.name: check.verdict for check in found.checks if check.verdict != "pass"} == {
        "windows": "not_checked"
    }
    assert found.exit_code is ExitCode.OK
    assert found.evidence.level == 3
    examined = {check.name: check.examined for check in found.checks}
    assert (examined["rows"], examined["costs"], examined["rerun"]) == (19, 16, 19)
    assert examined["shadow_estimate"] > 3, "some rows were run at full depth"
    json.dumps(found.document())


def test_without_the_inputs_it_passes_at_a_lower_level(honest: Path, tmp_path: Path) -> None:
    copy = Copy(Path(shutil.copytree(honest, tmp_path / "moved")))
    found = copy.verify(inputs=str(tmp_path / "nothing here"))
    assert found.exit_code is ExitCode.OK
    assert found.evidence.level == 1
    assert "--inputs" in found.evidence.steps[2].reason
    assert copy.verify(inputs=str(tmp_path / "nothing here"), rerun=2).exit_code is ExitCode.EVIDENCE_MISSING


def test_inputs_that_were_copied_are_known_by_their_images(
    honest: Path, tmp_path: Path, labelled: Path, broken_shard: Path
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for shard in (labelled, broken_shard):
        (moved / shard.name).write_bytes(shard.read_bytes())
    assert Copy(honest).verify(inputs=str(moved), rerun=2).evidence.level == 3

    data = bytearray((moved / labelled.name).read_bytes())
    data[600] ^= 1
    (moved / labelled.name).write_bytes(bytes(data))
    assert "an image with SHA-256" in mismatches(Copy(honest).verify(inputs=str(moved)))["inputs"]
    (moved / labelled.name).write_bytes(bytes(data) + bytes(512))
    assert "bytes, as planned" in mismatches(Copy(honest).verify(inputs=str(moved)))["inputs"]


def test_a_folder_that_was_copied_is_known_by_its_images(run_here: Any, tmp_path: Path, labelled: Path) -> None:
    with tarfile.open(labelled) as tar:
        members = [member for member in tar.getmembers() if member.name.endswith(".jpg")][:3]
        tar.extractall(tmp_path / "images", members, filter="data")
    run_here(tmp_path / "out", [str(tmp_path / "images")])
    moved = Path(shutil.copytree(tmp_path / "images", tmp_path / "moved" / "images"))
    for image in moved.iterdir():
        os.utime(image, (1, 1))

    found = Copy(tmp_path / "out").verify(inputs=str(moved.parent), rerun=3)
    assert mismatches(found) == {}
    assert {check.name: check.verdict for check in found.checks}["rerun"] == "pass"

    next(moved.iterdir()).unlink()
    assert {*mismatches(Copy(tmp_path / "out").verify(inputs=str(moved.parent), rerun=3))} == {"inputs", "rerun"}


def test_one_rows_flops_edited(copy: Copy) -> None:
    where = copy.edit_row(1, flops_executed=lambda row: row["flops_executed"] - 1000)
    found = copy.verify()
    assert found.exit_code is ExitCode.MISMATCH
    assert f"{where}: flops_executed" in mismatches(found)["costs"]
    assert ("digests" in mismatches(found)) is not copy.forged
    assert found.evidence.level == 0


@pytest.mark.parametrize(
    "column", ["flops_full_same_length", "flops_checks", "flops_kv_fill", "checks", "flops_reused_text", "flops_reused"]
)
def test_any_other_figure_edited(forged: Copy, column: str) -> None:
    where = forged.edit_row(0, **{column: lambda row: row[column] + 10})
    said = mismatches(forged.verify())
    assert where in said.get("costs", "") + said.get("sharing", "")


def test_a_row_removed(copy: Copy) -> None:
    path = copy.parts()[0]
    copy.edit(path, lambda rows: rows[:2] + rows[3:])
    said = mismatches(copy.verify())
    assert "000000-00000/2/0" in said["rows"]
    assert path in said["rows"]


def test_a_row_duplicated(copy: Copy) -> None:
    path = copy.parts()[1]
    copy.edit(path, lambda rows: [rows[0], *rows])
    assert "000000-00000/5/0 once and in its place, found twice" in mismatches(copy.verify())["rows"]


def test_a_row_removed_and_its_receipt_rewritten(forged: Copy) -> None:
    path = forged.parts()[0]
    forged.edit(path, lambda rows: rows[:2] + rows[3:])
    receipt = f"done/{Path(path).stem}.json"
    document = forged.json(receipt)
    document["ranges"]["000000-00000"] = [[0, 2], [3, 5]]
    forged.write_json(receipt, document)
    assert (
        "shard 000000-00000: expected every row once, found without rows [(2, 3)]"
        in mismatches(forged.verify())["tiling"]
    )


@pytest.mark.parametrize(
    ("outcome", "verdict", "said"),
    [
        ({"state": "done", "code": None}, "mismatch", "expected 15 rows and a proper end, as committed, found 16 rows"),
        ({"state": "bad", "code": "truncated"}, "mismatch", "expected 15 rows and no proper end (truncated)"),
        ({"state": "bad", "code": "unreadable"}, "not_checked", "nothing tells what was there then"),
    ],
)
def test_the_tail_of_a_shard_dropped(forged: Copy, outcome: dict[str, str], verdict: str, said: str) -> None:
    """Its deep rows, perhaps: no row, receipt or plan is left that knows of them."""
    path = forged.parts()[3]
    receipt = f"done/{Path(path).stem}.json"
    forged.write_json(
        receipt,
        forged.json(receipt)
        | {"part": None, "ranges": {}, "totals": {"000000-00000": 15}}
        | {"shards": {"000000-00000": outcome | {"message": None}}},
    )
    (forged.folder / path).unlink()
    manifest = forged.manifest
    manifest["parts"] = [part for part in manifest["parts"] if part["path"] != path]
    manifest["rows"] -= 1
    forged.write_json("manifest.json", manifest)
    plan = forged.json("plan.json")
    plan["shards"][0]["rows"] = 15
    forged.write_json("plan.json", plan)

    found = forged.verify()

    [check] = [check for check in found.checks if check.name == "inputs"]
    assert check.verdict == verdict
    assert said in " ".join(map(str, (*check.findings, *check.notes)))
    assert {*mismatches(found)} <= {"inputs"}, "nothing else contradicts it"
    assert found.evidence.level < 2


def test_two_data_files_swapped(copy: Copy) -> None:
    one, two = copy.parts()[:2]
    first, second = ((copy.folder / path).read_bytes() for path in (one, two))
    copy.write(one, second)
    copy.write(two, first)
    said = mismatches(copy.verify())
    assert one in said["rows"]
    assert two in said["rows"]


@pytest.mark.parametrize("path", ["data/more.parquet", "done/more.json", "failures/more.json", "metrics/more.jsonl"])
def test_a_file_added(forged: Copy, path: str) -> None:
    (forged.folder / path).parent.mkdir(exist_ok=True)
    (forged.folder / path).write_bytes(b"{}")
    found = forged.verify()
    assert path in mismatches(found).get("no_extra_files", "") + str([check.findings for check in found.checks])
    assert found.exit_code in (ExitCode.MISMATCH, ExitCode.EVIDENCE_MISSING)


def test_a_data_file_added_that_the_manifest_names(forged: Copy) -> None:
    shutil.copy(forged.folder / forged.parts()[0], forged.folder / "data" / "more.parquet")
    manifest = forged.manifest
    [part] = [part for part in manifest["parts"] if part["path"] == forged.parts()[0]]
    manifest["parts"].append(part | {"path": "data/more.parquet"})
    manifest["rows"] += part["rows"]
    forged.write_json("manifest.json", manifest)
    said = mismatches(forged.verify())
    assert "data/more.parquet: expected a receipt that counts" in said["receipts"]
    assert "headline" in said, "the ledger's rows are fewer than the manifest's"


def test_a_data_file_missing(forged: Copy) -> None:
    path = forged.parts()[2]
    (forged.folder / path).unlink()
    found = forged.verify()
    assert found.exit_code is ExitCode.EVIDENCE_MISSING
    [digests] = [check for check in found.checks if check.name == "digests"]
    assert path in str(digests.findings[0])


def test_a_receipt_of_another_run(forged: Copy) -> None:
    path = f"done/{Path(forged.parts()[0]).stem}.json"
    foreign = forged.json(path) | {"attempt": "20251231T000000-000000"}
    forged.write_json(path, foreign)
    assert f"{path}: expected an attempt that run.json knows" in mismatches(forged.verify())["receipts"]


def test_a_part_of_another_run(forged: Copy, run_here: Any, tmp_path: Path, labelled: Path) -> None:
    other = run_here(tmp_path / "other", [str(labelled)], exits="exact")
    path = forged.parts()[0]
    forged.write(path, (tmp_path / "other" / other.live_parts()[0].path).read_bytes())
    assert f"{path}: fingerprint" in mismatches(forged.verify())["parts"]


def test_shadow_results_dropped(copy: Copy) -> None:
    for path in copy.parts():
        copy.edit(path, lambda rows: [row | {"shadow": None} for row in rows])
    said = mismatches(copy.verify())
    assert ": shadow: expected a result at full depth" in said["shadow"]
    assert "000000-00000/" in said["shadow"]


def test_shadow_results_dropped_and_called_lost(forged: Copy) -> None:
    dropped = 0

    def drop(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal dropped
        dropped += sum(row["shadow"] is not None for row in rows)
        return [row | {"shadow": None} for row in rows]

    forged.edit(forged.parts()[0], drop)
    [path] = [path for path in forged.manifest["files"] if path.startswith("metrics/")]
    *lines, totals = [json.loads(line) for line in (forged.folder / path).read_text().splitlines()]
    totals["shadow_lost"] = dropped
    forged.write(path, "".join(json.dumps(line) + "\n" for line in [*lines, totals]).encode())

    found = forged.verify()
    assert mismatches(found) == {}
    assert dropped > 0
    [estimate] = [check for check in found.checks if check.name == "shadow_estimate"]
    assert estimate.verdict == "not_checked"
    assert f"{dropped} selected rows have no result: if full depth gave all of them another answer" in estimate.notes[0]
    assert found.evidence.level == 2


def test_one_disagreement_hidden(forged: Copy) -> None:
    def agree(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row | {"shadow": row["shadow"] and row["shadow"] | {"text": "another", "agrees": True}} for row in rows]

    forged.edit(forged.parts()[0], agree)
    assert "shadow.agrees: expected False, found True" in mismatches(forged.verify())["shadow"]


def test_a_shadow_that_nothing_selects(forged: Copy) -> None:
    plan = forged.json("plan.json")
    forged.write_json("plan.json", plan | {"audit_seed": plan["audit_seed"] + 1})
    said = mismatches(forged.verify())["shadow"]
    assert "seed, rates and uid do not select it" in said
    assert "select the row" in said


@pytest.mark.parametrize("fingerprint_too", [False, True])
def test_thresholds_changed_in_the_plan(copy: Copy, fingerprint_too: bool) -> None:
    plan = copy.json("plan.json")
    plan["fingerprint_parts"]["exits"]["image"] = 0.5
    if fingerprint_too:
        plan["fingerprint"] = fingerprint_of(plan["fingerprint_parts"])
    copy.write_json("plan.json", plan)
    said = mismatches(copy.verify())
    if fingerprint_too:
        assert "fingerprint" in said["parts"]
        assert "manifest.json: fingerprint" in said["fingerprint"]
    else:
        assert "plan.json: fingerprint" in said["fingerprint"]
        assert "a setting in plan.json was changed" in said["fingerprint"]
    assert ("plan.json" in said.get("digests", "")) is not copy.forged


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("audit_margin", 0.5, "audit.margin: 0.5 -> null"),
        ("audit_windows", 2, "audit.windows: 2 -> 0"),
        ("audit_seed", 4, "audit.seed: 4 -> 3"),
        ("audit_rates", {"shallow": 0.6, "middle": 0.6, "deep": 0.6, "full": 0.1}, "audit.rates.full: 0.1 -> 0.6"),
    ],
)
def test_what_is_audited_changed_in_the_plan(forged: Copy, setting: str, value: Any, said: str) -> None:
    forged.write_json("plan.json", forged.json("plan.json") | {setting: value})
    assert said in mismatches(forged.verify())["settings"]


def test_captions_truncated(copy: Copy) -> None:
    where = copy.edit_row(2, text=lambda row: row["text"][: len(row["text"]) // 2])
    assert f"{where}: text" in mismatches(copy.verify())["texts"]


def test_captions_truncated_with_their_tokens(forged: Copy) -> None:
    where = forged.edit_row(
        2, text=lambda row: row["text"].rsplit(" ", 1)[0], tokens=lambda row: [*row["tokens"][:-2], 2]
    )
    said = mismatches(forged.verify())
    assert f"{where}: n_tokens" in said["texts"]
    assert f"{where}: decoder_layers_run" in said["depths"]


def test_another_prompt(forged: Copy) -> None:
    where = forged.edit_row(0, prompt=" what colour is it?")
    assert f"{where}: prompt" in mismatches(forged.verify())["texts"]


def test_captions_beside_other_keys_are_found_by_running_them_again(forged: Copy) -> None:
    for path in forged.parts():
        keys = [row["key"] for row in pq.read_table(forged.folder / path).to_pylist()]
        forged.edit(path, lambda rows, keys=keys: [row | {"key": keys[n - 1]} for n, row in enumerate(rows)])  # type: ignore[misc]
    assert mismatches(forged.verify()) == {}
    assert "expected key " in mismatches(forged.verify(rerun=19))["rerun"]


def test_an_illegal_depth(forged: Copy) -> None:
    where = forged.edit_row(3, image_layers_run=7)
    said = mismatches(forged.verify())
    assert f"{where}: image_layers_run: expected 1..6" in said["depths"]


def test_a_caption_that_the_model_does_not_give_is_found_by_running_it_again(forged: Copy) -> None:
    tokenizer = model_facts("demo").processor.tokenizer

    def swapped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            if row["shadow"] is None:
                row["tokens"] = [row["tokens"][1], *row["tokens"][1:]]
                row["text"] = tokenizer.decode(row["tokens"]).strip()
        return rows

    for path in forged.parts():
        forged.edit(path, swapped)
    assert mismatches(forged.verify()) == {}, "nothing in the folder contradicts it"
    assert "image and" in mismatches(forged.verify(rerun=19))["rerun"]


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
    run_here: Any, tmp_path: Path, labelled: Path
) -> None:
    run_here(tmp_path / "out", [str(labelled)], audit={"rate": 0.99}, exits="fast")
    copy, texts = Copy(tmp_path / "out"), list[str | None]()
    for path in copy.parts():
        copy.edit(path, lambda rows: agreeing(rows, texts))
    assert texts, "exits did change an answer"
    assert mismatches(copy.verify()) == {}, "nothing in the folder contradicts it"
    said = mismatches(copy.verify(rerun=16))["rerun"]
    assert ": shadow: expected " in said
    assert repr(texts[0]) in said


def test_as_many_shadowed_rows_are_run_again_as_other_ones(honest: Path) -> None:
    [check] = [check for check in Copy(honest).verify(rerun=2, seed=1).checks if check.name == "rerun"]
    assert 2 < check.examined <= 4
    assert " shadows at full depth" in check.notes[-1]
    assert ", and 0 shadows" not in check.notes[-1]
    assert check.verdict == "pass"


def as_failed(copy: Copy, number: int, **failure: str) -> str:
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


def test_a_good_row_passed_off_as_failed_is_found_by_running_it_again(forged: Copy) -> None:
    where = as_failed(forged, 1, error_stage="decode", error_code="corrupt_image")
    assert mismatches(forged.verify()) == {}
    assert f"{where}: expected ok None, found failed corrupt_image" in mismatches(forged.verify(rerun=19))["rerun"]


@pytest.mark.parametrize(("code", "said"), [("model_error", "image and"), ("poison", "is not run again")])
def test_a_good_row_passed_off_as_failed_at_the_model_is_no_pass(forged: Copy, code: str, said: str) -> None:
    where = as_failed(forged, 1, error_stage="infer", error_code=code)
    found = forged.verify(rerun=19)
    [check] = [check for check in found.checks if check.name == "rerun"]
    assert (check.verdict, found.exit_code) == ("not_checked", ExitCode.OK), "an honest machine may have failed"
    assert check.notes[0].startswith(f"{where}: {code} is not reproduced: ")
    assert said in check.notes[0]


def test_a_model_that_is_not_at_hand(honest: Path, tmp_path: Path) -> None:
    found = Copy(honest).verify(model=str(tmp_path))
    assert found.exit_code is ExitCode.EVIDENCE_MISSING
    [costs] = [check for check in found.checks if check.name == "costs"]
    assert costs.verdict == "missing"
    other = Copy(honest).verify(model="seeded")
    assert other.exit_code is ExitCode.EVIDENCE_MISSING
    assert "--model" in str(other.document())


def test_an_unfinished_job_and_an_empty_folder_are_no_evidence(job: Any, tmp_path: Path) -> None:
    job.commit_shard("000000-a")
    for folder in (job.folder, tmp_path / "nothing"):
        found = Copy(folder).verify()
        assert (found.exit_code, found.evidence.level) == (ExitCode.EVIDENCE_MISSING, 0)


def test_a_job_without_a_row_is_no_evidence(run_here: Any, tmp_path: Path) -> None:
    (tmp_path / "00000.tar").write_bytes(bytes(1024))
    run_here(tmp_path / "out", [str(tmp_path / "00000.tar")])
    assert Copy(tmp_path / "out").verify().exit_code is ExitCode.EVIDENCE_MISSING


def test_hypotheses_pass_too(run_here: Any, tmp_path: Path, labelled: Path) -> None:
    fields = {"hypothesis": "json:ve[*].hypothesis", "label": "json:ve[*].label"}
    inputs = {"urls": [str(labelled)], "fields": fields}
    run_here(tmp_path / "out", [], inputs=inputs, task="entailment", audit={"rate": 0.3})
    copy = Copy(tmp_path / "out")
    found = copy.verify(rerun=4)
    assert mismatches(found) == {}
    assert found.exit_code is ExitCode.OK
    labels = {"entailment", "neutral", "contradiction"}
    where = copy.edit_row(0, label=lambda row: sorted(labels - {row["label"]})[0])
    assert f"{where}: label" in mismatches(copy.verify())["texts"]


def test_an_output_in_an_object_store(honest: Path, bucket: str) -> None:
    pytest.importorskip("s3fs").S3FileSystem(skip_instance_cache=True).put(
        f"{honest}/", f"{bucket}/out/", recursive=True
    )
    found = verify(Ledger(Storage.open(f"{bucket}/out")))
    assert {check.name: check.verdict for check in found.checks if check.verdict != "pass"} == {
        "windows": "not_checked"
    }
    assert found.evidence.level == 3


def test_the_command_ends_with_the_verdict(mue: Any, honest: Path, forged: Copy) -> None:
    done = mue("verify", honest)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].endswith("L3 shadow audit with an interval"), "the level comes first"
    where = forged.edit_row(0, flops_executed=1)
    failed = mue("verify", forged.folder)
    assert failed.exit_code == 4
    assert where.split()[1] in failed.stdout
    assert mue("verify", forged.folder / "nowhere").exit_code == 5
    assert json.loads(mue("verify", honest, "--json").stdout)["verdict"] == "pass"
