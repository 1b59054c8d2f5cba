"""`mue train` as a user meets it: a drawn toy corpus, a tiny model, a real kill."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import Result

from mue_model.config import EngineConfig, GenerationConfig
from mue_model.loading import build_engine
from mue_model.model_folder import read_model_folder
from mue_model.rows import RowInput

Mue = Callable[..., Result]
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
STEPS = 16
SMALL = ["--size", "tiny", "--steps", STEPS, "--threads", 1, "--device", "cpu"]
SMALL += ["--set", "recipe.batch_rows=3", "--set", "recipe.entailment_batch_rows=3", "--set", "recipe.warmup_steps=4"]
SMALL += ["--set", "training.report_every=2", "--set", "training.checkpoint_every=4"]
SMALL += ["--set", "training.validate_every=8"]


def shard(path: Path, rows: int, *, captions: bool = True) -> None:
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        for number in range(rows):
            colour = list(COLOURS)[number % 3]
            picture = io.BytesIO()
            Image.new("RGB", (64, 64), COLOURS[colour]).save(picture, "JPEG")
            facts = {"level": 1 + number % 2, "ve": [{"hypothesis": f"there is {colour}", "label": "entailment"}]}
            facts |= {"captions": [f"a {colour} picture", f"this is {colour}"]} if captions else {}
            for extension, data in (("jpg", picture.getvalue()), ("json", json.dumps(facts).encode())):
                info = tarfile.TarInfo(f"{number:05d}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    shard(tmp_path / "corpus" / "train" / "00000.tar", 12)
    shard(tmp_path / "corpus" / "val" / "00000.tar", 4)
    description = {"license": "CC0", "seed": 5, "corpus_version": 1, "other": "/home/somebody"}
    (tmp_path / "corpus" / "corpus.json").write_text(json.dumps(description))
    return tmp_path / "corpus"


def steps_of(run: Path, event: str = "training") -> list[int]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line["event"] == event]


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def test_a_run_that_is_stopped_and_killed_ends_like_one_that_is_not(
    mue: Mue, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # drawing takes longer than training here
    whole, cut = tmp_path / "whole" / "run", tmp_path / "cut" / "run"
    done = mue("train", corpus, "-o", whole, *SMALL, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["steps"] == STEPS

    # SIGTERM: a checkpoint, then exit code 75.
    def terminate() -> None:
        wait_for(lambda: (cut / "training.pt").exists())
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=terminate)
    killer.start()
    stopped = mue("train", corpus, "-o", cut, *SMALL)
    killer.join()
    assert stopped.exit_code == 75, stopped.output
    assert "the same command resumes" in stopped.stderr
    assert not (cut / "model").exists()
    reached = torch.load(cut / "training.pt", weights_only=True)["step"]
    assert 4 <= reached < STEPS

    # kill -9: whatever comes after the last checkpoint is lost.
    command = [sys.executable, "-m", "jobs.cli", "train", corpus, "-o", cut, *SMALL]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: process.poll() is not None or max(steps_of(cut), default=0) >= min(reached + 6, STEPS - 4))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (cut / "model").exists()

    resumed = mue("train", corpus, "-o", cut, *SMALL)
    assert resumed.exit_code == 0, resumed.output
    assert "continuing at step" in resumed.stderr
    assert weights(cut) == weights(whole)
    for event in ("training", "validation"):
        assert steps_of(cut, event) == steps_of(whole, event)
    assert steps_of(whole) == list(range(2, STEPS + 1, 2))
    assert steps_of(whole, "validation") == [8, 16]
    card = (whole / "model" / "MODEL_CARD.md").read_text()
    assert (cut / "model" / "MODEL_CARD.md").read_text() == card
    assert str(tmp_path) not in card
    assert "/home" not in card


def test_the_folder_of_a_run_holds_model_metrics_and_curves(
    mue: Mue, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    run = tmp_path / "run"
    quick = [*SMALL, "--set", "training.steps=4"]
    done = mue("train", corpus, "-o", run, *quick)
    assert done.exit_code == 0, done.output
    assert {path.name for path in run.iterdir()} >= {"model", "metrics.jsonl", "curves.png", "curves.svg"}
    assert "parameters" in done.stderr
    assert "12 rows to train on, 4 to validate on" in done.stderr
    card = (run / "model" / "MODEL_CARD.md").read_text()
    assert "CC0" in card
    assert "--set recipe.batch_rows=3" in card
    facts = read_model_folder(run / "model")
    engine = build_engine(facts, facts.exits("default"), GenerationConfig(max_tokens=3), EngineConfig(device="cpu"))
    pixels = facts.processor.pixels(Image.new("RGB", (64, 64)))
    [answer] = engine.submit([RowInput(uid="a", pixels=pixels, prompt_ids=facts.processor.prompt_ids())]).result()
    assert isinstance(answer.text, str)

    # The same command changes nothing, not even a calibration that was added.
    (run / "model" / "exits.json").write_text('{"presets": {"mine": {}}, "default": "mine"}')
    again = mue("train", corpus, "-o", run, *quick)
    assert again.exit_code == 0, again.output
    assert "trained already" in again.stderr
    assert "mine" in read_model_folder(run / "model").presets

    # Its model may be trained on, with other streams, and says so.
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    tuned = mue("train", corpus, "-o", tmp_path / "tuned", "--init", run / "model", "--streams", "joint", *quick[2:])
    assert tuned.exit_code == 0, tuned.output
    assert read_model_folder(tmp_path / "tuned" / "model").config.streams == "joint"
    assert "streams changed from decomposed to joint" in (tmp_path / "tuned" / "model" / "MODEL_CARD.md").read_text()


def test_without_matplotlib_or_validation_rows_it_trains_all_the_same(
    mue: Mue, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    shutil.rmtree(corpus / "val")
    done = mue("train", corpus, "-o", tmp_path / "run", *SMALL, "--set", "training.steps=2")
    assert done.exit_code == 0, done.output
    assert "pip install 'mue[train]'" in done.stderr
    assert not list((tmp_path / "run").glob("curves.*"))
    assert "None: the corpus has no validation split" in (tmp_path / "run" / "model" / "MODEL_CARD.md").read_text()


def test_what_cannot_be_trained_ends_with_2_and_one_line(mue: Mue, corpus: Path, tmp_path: Path) -> None:
    shard(tmp_path / "bare" / "train" / "00000.tar", 2, captions=False)
    (tmp_path / "file").write_text("")
    run = tmp_path / "run"
    calls = {
        "holds no shards": ("train", tmp_path / "nowhere", "-o", run, *SMALL),
        "row '00000'.*no 'captions'": ("train", tmp_path / "bare", "-o", run, *SMALL),
        "--recipe x: expected": ("train", corpus, "-o", run, "--recipe", "x"),
        "recipe.clip_norm = -1": ("train", corpus, "-o", run, "--set", "recipe.clip_norm=-1"),
        "there is no such folder": ("train", corpus, "-o", run, "--init", tmp_path / "nowhere"),
        "cannot be written": ("train", corpus, "-o", tmp_path / "file", *SMALL),
    }
    for message, call in calls.items():
        result = mue(*call)
        error = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert (result.exit_code, len(error)) == (2, 1), (call, result.output)
        assert re.search(message, error[0]), error
