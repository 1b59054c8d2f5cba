"""A model folder is data: whatever lies in it, nothing of it runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mue_model import model_names

DEMO = Path(model_names.__file__).parent / "shipped" / "demo"
CODE = "import os, pathlib; pathlib.Path(os.environ['MARKER']).touch()\n"
MODULES = (
    "__init__", "configuration_ofa", "modeling_ofa", "tokenization_ofa", "processor", "tokenizer", "sitecustomize",
    "usercustomize", "conftest", "json", "torch", "config", "setup",
)  # fmt: skip
LOAD = """
import sys
from mue_model.config import EngineConfig
from mue_model.loading import build_engine, check_weights
from mue_model.model_names import model_facts
facts = model_facts(sys.argv[1])
check_weights(facts)
build_engine(facts, facts.exits("default"), facts.generation, EngineConfig(threads=1)).close()
print("loaded")
"""


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ('touch "$MARKER"',)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A good model with code in every shape that some loader of this field would run."""
    folder = shutil.copytree(DEMO, tmp_path / "model")
    for name in MODULES:
        (folder / f"{name}.py").write_text(CODE)
    (folder / "evil.pth").write_text("import os; os.system('touch $MARKER')\n")
    for name in ("pytorch_model.bin", "model.pt", "tokenizer.pkl", "training_args.bin"):
        (folder / name).write_bytes(pickle.dumps(Payload()))
    return folder


def load(folder: Path, tmp_path: Path) -> tuple[subprocess.CompletedProcess[str], bool]:
    marker = tmp_path / "ran"
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder)], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "MARKER": str(marker)},
    )  # fmt: skip
    return done, marker.exists()


def test_a_good_model_with_code_beside_it_loads_and_none_of_it_runs(hostile: Path, tmp_path: Path) -> None:
    done, ran = load(hostile, tmp_path)
    assert done.stdout == "loaded\n", done.stderr
    assert not ran


def test_the_payloads_would_be_noticed(hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKER", str(tmp_path / "ran"))
    pickle.loads((hostile / "pytorch_model.bin").read_bytes())
    assert (tmp_path / "ran").exists()


def test_a_config_that_points_at_code_is_not_followed(hostile: Path, tmp_path: Path) -> None:
    path = hostile / "config.json"
    config = json.loads(path.read_text())
    config |= {"auto_map": {"AutoModel": "modeling_ofa.Evil"}, "trust_remote_code": True, "_target_": "os.system"}
    path.write_text(json.dumps(config))
    done, ran = load(hostile, tmp_path)
    assert not ran
    assert done.stdout == "loaded\n" or "config.json" in done.stderr


@pytest.mark.parametrize("weights", ["pickle", "absent"])
def test_pickled_weights_in_the_place_of_ours_are_refused_unread(hostile: Path, tmp_path: Path, weights: str) -> None:
    (hostile / "model.safetensors").unlink()
    if weights == "pickle":
        (hostile / "model.safetensors").write_bytes(pickle.dumps(Payload()))
    done, ran = load(hostile, tmp_path)
    assert not ran
    assert done.returncode != 0
    assert "ModelFolderError" in done.stderr
