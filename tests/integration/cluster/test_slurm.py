"""The rendered batch script with real Ray, on two nodes: namespaces with networks and folders of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.slurm import slurm_script
from cluster.spec import ClusterSpec, NodeGroup, SlurmConfig

TOOLS = ("unshare", "nsenter", "mount", "ip", "hostname", "setsid")
OWN = ("--net", "--mount", "--uts")

SITE = """\
# n1 is where this runs, n2 is beside it; names are known to libc alone, and DNS is dead.
set -e
hostname n1
unshare --net --mount --uts sleep infinity & export N2=$!
until [ "$(readlink /proc/$N2/ns/uts)" != "$(readlink /proc/self/ns/uts)" ]; do sleep 0.05; done
n2() { nsenter --target "$N2" --net --mount --uts "$@"; }
ip link add e0 type veth peer name e0 netns "$N2"
for node in 1 2; do
  [ "$node" = 1 ] && on= || on=n2
  $on hostname "n$node"
  $on ip addr add "10.77.0.$node/24" dev e0
  $on ip link set lo up
  $on ip link set e0 up
  $on ip route add default via "10.77.0.$((3 - node))"
  $on mount --bind "$SITE/hosts$node" /etc/hosts
  $on mount --bind "$SITE/resolv.conf" /etc/resolv.conf
done
n2 mount --bind "$SITE/other" "$SITE/work"
code=0
bash "$SITE/job.sbatch" || code=$?
exit "$code"
"""
SRUN = """\
#!/usr/bin/env bash
asked=" $* "
while [[ $1 == -* ]]; do [ "$1" = -w ] && { node=$2; shift; }; shift; done
# A step that says nothing of CPUs has one.
[[ $asked == *" --cpus-per-task=1 "* && $asked == *" --gpus-per-node=1 "* ]] || exit 1
[ "$node" = n1 ] && exec "$@"
exec nsenter --target "$N2" --net --mount --uts "$@"
"""
MUE = """\
import os, ray
ray.init(address=os.environ["RAY_ADDRESS"])
@ray.remote(num_gpus=1, num_cpus=0)
def where():
    import socket, time
    time.sleep(1)  # both GPUs are needed
    return socket.gethostname()
hosts = sorted(set(ray.get([where.remote() for _ in range(8)])))
addresses = sorted(node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"])
with open(os.environ["SITE"] + "/seen", "w") as file:
    print(*hosts, *addresses, file=file)
"""


@pytest.fixture
def site() -> Iterator[Path]:
    """A folder that both nodes see; its path is short, for sockets lie below it."""
    if any(shutil.which(tool) is None for tool in TOOLS):
        pytest.skip(f"needs {', '.join(TOOLS)}")
    if subprocess.run(["unshare", *OWN, "mount", "--bind", "/etc/hosts", "/etc/hosts"], check=False).returncode:
        pytest.skip("no namespaces are permitted here")
    folder = Path(tempfile.mkdtemp(prefix="mue-s"))
    for name in ("bin", "work", "other"):
        (folder / name).mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_nodes_become_one_cluster_and_leave_nothing(site: Path) -> None:
    bin_ = site / "bin"
    for name, text in {
        "srun": SRUN,
        "scontrol": "#!/bin/sh\nprintf 'n1\\nn2\\n'\n",
        "mue": f"#!/bin/sh\nexec {sys.executable} {site}/job.py\n",
        "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        "ray": f'#!/bin/sh\nexec {sys.executable} -m ray.scripts.scripts "$@"\n',
    }.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    (site / "job.py").write_text(MUE)
    # As Debian has it: on the head itself its name means its loopback.
    (site / "hosts1").write_text("127.0.0.1 localhost\n127.0.1.1 n1\n10.77.0.2 n2\n")
    (site / "hosts2").write_text("127.0.0.1 localhost\n10.77.0.1 n1\n127.0.1.1 n2\n")
    (site / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    (site / "site.sh").write_text(textwrap.dedent(SITE))
    group = NodeGroup(name="a", nodes_min=2, nodes_max=2, cpus=1, memory_gib=2, gpus=1)
    spec = ClusterSpec(groups=(group,), slurm=SlurmConfig(work_folder=f"{site}/work", shared_folder=str(site)))
    (site / "job.sbatch").write_text(slurm_script(spec, run="r", job_yaml="a: 1\n"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "SITE": str(site), "PATH": f"{bin_}:{environment['PATH']}",
        "SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_SUBMIT_DIR": str(site),
    }  # fmt: skip
    # A process namespace of its own: whatever is left at the end is ended with it.
    command = ["unshare", *OWN, "--pid", "--fork", "--kill-child", "--mount-proc", "bash", str(site / "site.sh")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (site / "seen").read_text().split() == ["n1", "n2", "10.77.0.1", "10.77.0.2"]
    assert (site / "other" / "mue-4711").exists(), "each node has a folder of its own"
    assert not list(site.glob("mue-4711-*")), "the token is gone"
