"""What our own code never does, read off its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mue_model", "pipeline", "jobs", "cluster")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads",
    "shelve.open",
    "cloudpickle.loads", "joblib.load", "yaml.unsafe_load", "yaml.full_load", "importlib.util.spec_from_file_location",
    "runpy.run_path", "pty.spawn",
}  # fmt: skip
UNPICKLING = {Path("mue_model", "pickled.py"), Path("mue_model", "training", "checkpoints.py")}
"""Published checkpoints to convert, and the states of `mue train`: by torch's reader for tensors and plain data."""


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def faults(source: str, *, may_unpickle: bool = False) -> list[str]:
    """Return the calls that could run what is in a file, or a shell."""
    found = []
    for name, call in calls(source):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name in FORBIDDEN or given.get("shell") == "True" or given.get("allow_pickle") == "True":
            found.append(name)
        if name == "yaml.load" and given.get("Loader") != "_StrictLoader":
            found.append(name)
        if name == "torch.load" and not (may_unpickle and given.get("weights_only") == "True"):
            found.append(name)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_evaluated_or_given_to_a_shell(path: Path) -> None:
    assert faults(path.read_text("utf-8"), may_unpickle=path.relative_to(ROOT) in UNPICKLING) == []


def test_the_search_would_find_it() -> None:
    assert len(SOURCES) > 200
    bad = "eval(x); pickle.loads(b); subprocess.run(c, shell=True); torch.load(p); yaml.load(t); "
    bad += "np.load(p, allow_pickle=True)"
    assert len(faults(bad)) == 6
    assert faults("torch.load(p, weights_only=True)") == ["torch.load"]
    assert faults("torch.load(p, weights_only=True)", may_unpickle=True) == []
    for path in UNPICKLING:
        assert any(name == "torch.load" for name, _ in calls((ROOT / path).read_text("utf-8")))


def test_token_authentication_is_never_switched_off() -> None:
    shipped = [*SOURCES, *(path for path in (ROOT / "cluster").rglob("*") if path.is_file() and path.suffix != ".pyc")]
    mentions = [
        (path.name, line.strip())
        for path in shipped
        for line in path.read_text("utf-8").splitlines()
        if "RAY_AUTH_MODE" in line or "authOptions" in line
    ]
    assert {name for name, _ in mentions} >= {"Dockerfile", "slurm_body.sh", "kuberay.py"}
    assert not [mention for mention in mentions if "disabled" in mention[1].lower()]
