"""A Slurm batch script: Ray on the job's own nodes, `mue run` beside its head, requeued until every row is done.

Everything of a user's that is not a checked word is quoted for the shell. Ray listens on the nodes' own network, with
token authentication; the dashboard on the head node's loopback.
"""

from __future__ import annotations

import shlex
from importlib import resources

from cluster.names import check_name
from cluster.placement import Nodes
from cluster.spec import LONGEST_CLUSTER_NAME, ClusterSpec

INTERRUPTED = 75
"""Exit code of `mue run` that was asked to end and can resume (`pipeline.exit_codes`)."""
MOST_SCRIPT_BYTES = 4 << 20
"""Slurm's own limit (`max_script_size`) where nobody set another."""
_BODY = "slurm_body.sh"


def slurm_nodes(spec: ClusterSpec) -> list[Nodes]:
    """Return the nodes of a job: those of the spec's first group, all of them, with whole CPUs."""
    group = spec.groups[0]
    return [Nodes(group=group.name, nodes=group.nodes_max, cpus=max(1, int(group.cpus)), gpus=group.gpus)]


def slurm_script(spec: ClusterSpec, *, run: str, job_yaml: str) -> str:
    """Return the script for `sbatch`; its nodes are those of the spec's first group.

    Raises:
        ValueError: `run` is no name, or the job would be told to end as soon as it has begun.
    """
    try:
        check_name(run, longest=LONGEST_CLUSTER_NAME)
    except ValueError as error:
        raise ValueError(f"run name {run!r}: {error}") from error
    group, slurm, [nodes] = spec.groups[0], spec.slurm, slurm_nodes(spec)
    if spec.grace_s > slurm.time_limit_h * 1800:
        raise ValueError(
            f"grace_s {spec.grace_s} is more than half of slurm.time_limit_h {slurm.time_limit_h}, which leaves too "
            f"little to start and to work; at most {slurm.time_limit_h * 1800}, or raise slurm.time_limit_h"
        )
    options = {
        "job-name": run,
        "nodes": str(nodes.nodes),
        "ntasks-per-node": "1",
        "cpus-per-task": str(nodes.cpus),
        "mem": f"{group.memory_gib}G",
        "gpus-per-node": str(group.gpus) if group.gpus else None,
        "time": f"{slurm.time_limit_h}:00:00",
        "partition": slurm.partition,
        "account": slurm.account,
        "signal": f"B:USR1@{spec.grace_s}",
        "output": f"{run}-%j.log",
    }
    lines = ["#!/usr/bin/env bash"]
    lines += [f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None]
    lines += ["#SBATCH --requeue", "#SBATCH --open-mode=append", "set -euo pipefail", ""]
    settings = {
        "CPUS": str(nodes.cpus),
        "GPUS": str(group.gpus),
        "STORE_BYTES": str(group.object_store_gib << 30),
        "WORK": slurm.work_folder,
        "SHARED": slurm.shared_folder or "",
        "ACTIVATE": slurm.activate or "",
        "GRACE_S": str(spec.grace_s),
        "REQUEUES": str(slurm.requeues),
        "INTERRUPTED": str(INTERRUPTED),
        "JOB_YAML": job_yaml,
    }
    lines += [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    body = resources.files("cluster").joinpath(_BODY).read_text("utf-8")
    script = "\n".join(lines) + "\n\n" + body
    if len(script.encode()) > MOST_SCRIPT_BYTES:
        raise ValueError(f"the script has {len(script.encode()):,} bytes; Slurm takes 4 MiB: use patterns")
    return script
