"""What goes to a cluster: our code and the job, whatever else lies beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from jobs.code_package import PACKAGES, write_package
from jobs.spec import load_spec
from pipeline.spec import JobSpec

SPEC = load_spec(None, inputs=["s3://in/a.tar"], output="s3://out/run", overrides=["model=seeded"])
TEMPTING = (
    ".env", ".git/config", ".venv/lib/x.py", "data/00000.tar", "checkpoint.pt", "model.safetensors", "id_rsa",
    "credentials.json", "secrets.yaml", ".aws/credentials", "shipped/mine/model.safetensors",
    "__pycache__/a.pyc", "kube.config",
)  # fmt: skip


def test_only_code_goes_whatever_lies_among_it(tmp_path: Path) -> None:
    root = tmp_path / "mue_model"
    for name in (*TEMPTING, "a.py", "deep/b.py", "py.typed", "shipped/demo/model.safetensors"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.py").write_text("x")
    (root / "link.py").symlink_to(outside / "secret.py")
    (root / "linked").symlink_to(outside, target_is_directory=True)
    folder = tmp_path / "package"
    folder.mkdir()
    write_package(folder, SPEC, roots={"mue_model": root})
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {name for name in found if "dist-info" not in name} == {
        "job.yaml",
        *(f"mue_model/{name}" for name in ("a.py", "deep/b.py", "py.typed", "shipped/demo/model.safetensors")),
    }


def test_the_package_runs_without_the_repository(tmp_path: Path) -> None:
    write_package(tmp_path, SPEC)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir() and "dist-info" not in path.name} == set(PACKAGES)
    assert JobSpec.model_validate(yaml.safe_load((tmp_path / "job.yaml").read_text())) == SPEC
    code = (
        "import importlib.metadata, jobs, mue_model, pipeline, cluster; from mue_model.model_names import demo_digest; "
        "demo_digest(); importlib.metadata.version('mue'); print(jobs.__path__[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env={"PATH": ""}
    )
    assert Path(done.stdout.strip()).resolve() == (tmp_path / "jobs").resolve(), "this code, not an installed one"
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 32 << 20
