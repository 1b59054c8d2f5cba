"""The batch script: as pinned, well-formed, immune to what stands in a job, and run for real with stand-ins."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.slurm import INTERRUPTED, slurm_script
from cluster.spec import ClusterSpec, NodeGroup, SlurmConfig
from pipeline.exit_codes import ExitCode

JOB = "inputs: {urls: ['/data/*.tar']}\noutput: {url: /scratch/run}\n"


def test_the_script_is_as_pinned_and_well_formed(full: ClusterSpec, golden: Callable[[str, str], None]) -> None:
    script = slurm_script(full, run="captions-1a2b3c", job_yaml=JOB)
    golden("slurm.sh", script)
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    head = script.split("set -euo")[0].splitlines()
    assert all(line.startswith("#") for line in head), "Slurm reads options up to the first command"
    assert f"#SBATCH --signal=B:USR1@{full.grace_s}" in head


def test_a_job_that_would_be_told_to_end_as_soon_as_it_begins_is_refused() -> None:
    """It would requeue itself for ever, and never answer a row."""
    short = SlurmConfig(time_limit_h=1)
    assert "--signal=B:USR1@1800" in slurm_script(ClusterSpec(grace_s=1800, slurm=short), run="r", job_yaml=JOB)
    with pytest.raises(ValueError, match=r"grace_s 1801 .* slurm.time_limit_h 1, .* at most 1800, or raise"):
        slurm_script(ClusterSpec(grace_s=1801, slurm=short), run="r", job_yaml=JOB)
    assert slurm_script(ClusterSpec(grace_s=3600, slurm=SlurmConfig(time_limit_h=2)), run="r", job_yaml=JOB)


def test_a_script_that_slurm_would_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the script has [\d,]+ bytes; Slurm takes 4 MiB: use patterns"):
        slurm_script(ClusterSpec(), run="r", job_yaml="x" * (4 << 20))


def test_the_exit_code_is_that_of_an_interrupted_job() -> None:
    assert INTERRUPTED == ExitCode.INTERRUPTED


HOSTILE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80) | st.sampled_from(
    [
        "'; touch pwned; '",
        "$(touch pwned)",
        "`touch pwned`",
        "x\nEOF\ntouch pwned\n",
        "\n#SBATCH --uid=0\n",
        "'\\''\"${HOME}",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(HOSTILE)
def test_a_jobs_file_arrives_byte_for_byte_and_runs_nothing(tmp_path: Path, job_yaml: str) -> None:
    script = slurm_script(ClusterSpec(), run="r", job_yaml=job_yaml)
    assignments = script[script.index("CPUS=") : script.rindex("# From here on")]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", assignments + '\nprintf %s "$JOB_YAML"'],
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.decode() == job_yaml
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("run", ["x\n#SBATCH --uid=0", "a" * 48, "--wrap=id", ""])
def test_names_that_could_be_options_are_refused(run: str) -> None:
    with pytest.raises(ValueError, match="run name"):
        slurm_script(ClusterSpec(), run=run, job_yaml=JOB)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of stand-ins: srun runs here and counts CPUs, scontrol knows two nodes, ray waits, mue does as told."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()

    def tool(name: str, body: str) -> None:
        (bin_ / name).write_text("#!/usr/bin/env bash\n" + textwrap.dedent(body))
        (bin_ / name).chmod(0o755)

    tool(
        "srun",
        f"""\
        echo "srun $*" >> {tmp_path}/calls
        cpus=1
        while [[ $1 == -* ]]; do
          case $1 in -w) shift ;; --cpus-per-task=*) cpus=${{1#*=}} ;; esac
          shift
        done
        [[ $* != *--num-cpus=* || " $* " == *" --num-cpus=$cpus "* ]] || {{ echo "has but $cpus CPUs" >&2; exit 1; }}
        exec "$@"
        """,
    )
    tool("scontrol", f'[ "$1" = show ] && printf "n1\\nn2\\n" || echo "scontrol $*" >> {tmp_path}/calls')
    nodes = f"$(grep -c 'ray start' {tmp_path}/calls)"
    tool("ray", f'[ "$1" = status ] && for n in $(seq {nodes}); do echo " 1 node_$n"; done && exit; exec sleep 60')
    (bin_ / "python").symlink_to(sys.executable)
    return tmp_path


def run_script(
    site: Path,
    mue: str,
    *,
    job: int = 4711,
    gpus: int = 0,
    signals: Sequence[signal.Signals] = (),
    restarts: int | None = None,
    slurm: Mapping[str, Any] = {},
    limit_came: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run the script to its end; `signals` come when the driver is `ready`, and when it has `heard` the first."""
    (site / "bin" / "mue").write_text(f"#!/usr/bin/env bash\ncat ${{@: -1}} > {site}/seen.yaml\n{mue}\n")
    (site / "bin" / "mue").chmod(0o755)
    group = NodeGroup(name="a", nodes_min=2, nodes_max=2, cpus=2, memory_gib=4, gpus=gpus)
    spec = ClusterSpec(groups=(group,), slurm=SlurmConfig(work_folder=str(site), **slurm))
    environment = {
        "PATH": f"{site}/bin:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(job), "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_SUBMIT_DIR": str(site),
    }  # fmt: skip
    if restarts is not None:
        environment["SLURM_RESTART_COUNT"] = str(restarts)
    script = slurm_script(spec, run="r", job_yaml=JOB)
    if limit_came:
        script = script.replace(f"GRACE_S={spec.grace_s}\n", "GRACE_S=0\n")
    process = subprocess.Popen(
        [shutil.which("bash") or "bash", "-c", script],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for number, signal_ in enumerate(signals):
        while process.poll() is None and not (site / ("heard" if number else "ready")).exists():
            time.sleep(0.05)
        process.send_signal(signal_)
    out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess([], process.returncode, out, err)


def test_ray_runs_on_every_node_with_a_private_token_and_the_job_beside_its_head(site: Path) -> None:
    check = f'stat -c %a "$(dirname $RAY_AUTH_TOKEN_PATH)" > {site}/mode'
    check += f'\necho "$RAY_ADDRESS $RAY_AUTH_MODE" > {site}/address'
    done = run_script(site, f"{check}\nwc -c < $RAY_AUTH_TOKEN_PATH > {site}/length")
    assert done.returncode == 0, done.stderr
    calls = (site / "calls").read_text()
    assert "-w n1 ray start --head" in calls
    assert "--dashboard-host=127.0.0.1" in calls
    assert "-w n2 ray start --block" in calls
    assert (site / "seen.yaml").read_text() == JOB
    address = re.fullmatch(r"(\d+\.\d+\.\d+\.\d+):26844 token\n", (site / "address").read_text())
    assert address, "no name: Ray asks DNS alone"
    assert f"--node-ip-address={address[1]} " in calls
    assert not address[1].startswith("127."), "other nodes could not reach it"
    assert f"--address={address[1]}:26844" in calls.split("-w n2")[1]
    assert (site / "mode").read_text() == "700\n", "nobody else reaches the token"
    assert int((site / "length").read_text()) == 64
    assert (site / "length").read_text() not in calls
    assert not [path for path in site.iterdir() if path.name.startswith("mue-4711-")], "the token is gone"


@pytest.mark.parametrize("gpus", [0, 4])
def test_ray_is_told_of_what_its_step_has_and_the_job_asked_for(site: Path, gpus: int) -> None:
    """Since Slurm 22.05 a step has one CPU where nothing is said."""
    assert (
        run_script(site, f"until [ $(grep -c srun {site}/calls) = 2 ]; do sleep 0.01; done", gpus=gpus).returncode == 0
    )
    group = NodeGroup(name="a", cpus=2, memory_gib=4, gpus=gpus)
    asked = re.findall(
        r"^#SBATCH (--[a-z-]+)=(.*)$", slurm_script(ClusterSpec(groups=(group,)), run="r", job_yaml=JOB), re.M
    )
    steps = [dict(re.findall(r"(--[a-z-]+)=(\S+)", call)) for call in (site / "calls").read_text().splitlines()]
    assert len(steps) == 2
    for step in steps:
        assert (step["--nodes"], step["--ntasks"]) == ("1", "1")
        for name, told in (("--cpus-per-task", "--num-cpus"), ("--gpus-per-node", "--num-gpus")):
            assert step.get(name) == dict(asked).get(name)
            assert step.get(name, "0") == step[told]


def test_jobs_that_share_a_node_share_no_port(site: Path) -> None:
    """Those of an array or a queue have consecutive numbers."""
    seen: list[int] = []
    until_ray_is_started = f"until grep -q -- --head {site}/calls 2> /dev/null; do sleep 0.01; done"
    for job in (2998, 2999, 3000, 3001):
        (site / "calls").unlink(missing_ok=True)
        assert run_script(site, until_ray_is_started, job=job).returncode == 0
        [head] = [call for call in (site / "calls").read_text().splitlines() if "ray start --head" in call]
        ports = dict(re.findall(r"--([a-z-]*port)=(\d+)", head))
        assert (ports.pop("min-worker-port"), ports.pop("max-worker-port")) == ("0", "0"), "any that is free"
        assert set(ports) == {"port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port"}
        seen += map(int, ports.values())
    assert len(set(seen)) == len(seen)
    assert all(1024 < port < 32768 for port in seen), "none that Linux may have given to somebody else"


DRAINING = (
    "trap 'touch {site}/heard; sleep 0.5; exit 75' TERM\ntouch {site}/ready\nfor _ in $(seq 200); do sleep 0.1; done"
)
"""A driver that ends as `mue run` does: told by TERM, with rows in hand."""


def test_a_job_at_its_time_limit_drains_and_is_requeued(site: Path) -> None:
    done = run_script(site, DRAINING.format(site=site), signals=[signal.SIGUSR1])
    assert done.returncode == INTERRUPTED
    assert "scontrol requeue 4711" in (site / "calls").read_text()


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM], [signal.SIGUSR1, signal.SIGTERM]], ids=["runs", "near its limit"]
)
def test_a_job_that_scancel_ends_drains_and_stays_ended(site: Path, signals: list[signal.Signals]) -> None:
    """Slurm would requeue a job that is being cancelled."""
    done = run_script(site, DRAINING.format(site=site), signals=signals)
    assert done.returncode == INTERRUPTED
    assert "requeue" not in (site / "calls").read_text()


def test_a_job_that_has_not_ended_when_its_time_is_over_is_requeued_all_the_same(site: Path) -> None:
    driver, signals = DRAINING.format(site=site), [signal.SIGUSR1, signal.SIGTERM]
    done = run_script(site, driver, signals=signals, limit_came=True)
    assert done.returncode == INTERRUPTED
    assert "scontrol requeue 4711" in (site / "calls").read_text()


@pytest.mark.parametrize(("restarts", "requeued"), [(None, True), (6, True), (7, False)])
def test_a_job_is_requeued_a_bounded_number_of_times(site: Path, restarts: int | None, requeued: bool) -> None:
    driver = DRAINING.format(site=site)
    done = run_script(site, driver, signals=[signal.SIGUSR1], restarts=restarts, slurm={"requeues": 7})
    assert done.returncode == INTERRUPTED
    assert ("scontrol requeue 4711" in (site / "calls").read_text()) == requeued
    assert ("not requeued: that was done 7 times (slurm.requeues)" in done.stderr) != requeued


def test_a_job_that_was_cancelled_is_not_requeued(site: Path) -> None:
    done = run_script(site, f"exit {INTERRUPTED}")
    assert done.returncode == INTERRUPTED
    assert "requeue" not in (site / "calls").read_text()


def test_a_job_that_failed_for_another_reason_is_not_requeued(site: Path) -> None:
    done = run_script(site, "exit 3")
    assert done.returncode == 3
    assert "requeue" not in (site / "calls").read_text()
