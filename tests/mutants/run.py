"""Apply each mistake of `mutants.toml` to a copy of the model and its tests; fail if the tests miss one.

python tests/mutants/run.py              all of them
python tests/mutants/run.py prompt order those whose name holds one of these words
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
COPIED = ("mue_model", "pipeline", "jobs", "cluster", "tests", "pyproject.toml")
TIMEOUT_S = 120


def run_tests(copy: Path, tests: list[str]) -> tuple[bool, str]:
    """Return whether the tests pass in the copy, and otherwise the first that does not."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--timeout={TIMEOUT_S}", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    if run.returncode not in (0, 1) or (run.returncode and not failed and "Timeout" not in run.stdout + run.stderr):
        raise SystemExit(f"pytest could not run {tests}:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
    return run.returncode == 0, failed[0] if failed else "timeout"


def apply(copy: Path, mutant: dict[str, str]) -> str:
    """Make the mistake in the copy; returns the file as it was."""
    path = copy / mutant["file"]
    source = path.read_text()
    if source.count(mutant["find"]) != 1:
        raise SystemExit(
            f"{mutant['name']}: {mutant['file']} holds {source.count(mutant['find'])} times {mutant['find']!r}"
        )
    path.write_text(source.replace(mutant["find"], mutant["replace"]))
    return source


def main(words: list[str]) -> int:
    mutants = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())["mutant"]
    chosen = [mutant for mutant in mutants if not words or any(word in mutant["name"] for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
            else:
                shutil.copy(source, copy / name)
        where = [sys.executable, "-c", "import mue_model; print(mue_model.__file__)"]
        imported = subprocess.run(
            where, cwd=copy, env=os.environ | {"PYTHONPATH": folder}, capture_output=True, text=True
        )
        if not Path(imported.stdout.strip()).resolve().is_relative_to(copy.resolve()):
            raise SystemExit(f"the copy is not what is imported: {imported.stdout}{imported.stderr}")
        passed, first = run_tests(copy, sorted({test for mutant in chosen for test in mutant["tests"]}))
        if not passed:
            raise SystemExit(f"the tests fail without any mistake: {first}")
        missed = 0
        for mutant in chosen:
            began, source = time.monotonic(), apply(copy, mutant)
            passed, first = run_tests(copy, mutant["tests"])
            (copy / mutant["file"]).write_text(source)
            missed += passed
            verdict = "MISSED" if passed else f"caught by {first}"
            print(f"{mutant['name']}: {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} mistakes caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
