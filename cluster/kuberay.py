"""KubeRay manifests of a `ClusterSpec`, as plain values: pure, and the same for the same spec."""

from __future__ import annotations

import math
import shlex
from typing import Any

from cluster.names import check_name
from cluster.placement import Nodes
from cluster.pods import UNPRIVILEGED, head_pod, submitter_pod, worker_pod
from cluster.spec import LONGEST_CLUSTER_NAME, ClusterSpec, NodeGroup

API_VERSION = "ray.io/v1"
JOB_FOLDER = "/etc/mue"
"""Where a job's file is mounted in the head's pod."""
JOB_FILE = "job.yaml"
SUBMIT_RETRIES = 3
"""How often KubeRay's submitter tries to reach the head."""
MOST_CONFIG_BYTES = 1 << 20
"""What a ConfigMap may hold. Of one that is larger than 256 KiB `kubectl apply` can keep no copy: --server-side."""


def ray_cluster(spec: ClusterSpec) -> dict[str, Any]:
    """Return a RayCluster that stays until it is deleted; jobs come by `mue submit`."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RayCluster",
        "metadata": _metadata(spec, spec.name),
        "spec": _cluster(spec),
    }


def ray_job(spec: ClusterSpec, *, run: str, job_yaml: str, output: str) -> list[dict[str, Any]]:
    """Return a ConfigMap with the job's file, and a RayJob whose every attempt has a cluster of its own.

    A retry is a new cluster and the same command: it resumes from the output folder. An end that it could not change
    (exit codes 2 and 3) stops the Ray job, which KubeRay does not retry.

    Args:
        spec: The cluster.
        run: Name of both.
        job_yaml: What `mue run -c` reads.
        output: The job's output folder, where its end is asked for when the head must go.

    Raises:
        ValueError: `run` is no name, or the job's file is too large.
    """
    try:
        check_name(run, longest=LONGEST_CLUSTER_NAME)
    except ValueError as error:
        raise ValueError(f"run name {run!r}: {error}") from error
    if len(job_yaml.encode()) > MOST_CONFIG_BYTES - 4096:
        raise ValueError(f"the job's file has {len(job_yaml.encode()):,} bytes; a ConfigMap takes 1 MiB: use patterns")
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(spec, run),
        "data": {JOB_FILE: job_yaml},
    }
    job: dict[str, Any] = {
        "entrypoint": shlex.join(
            ["mue", "--log-format", "json", "run", "--stop-ray-job", "-c", f"{JOB_FOLDER}/{JOB_FILE}"]
        ),
        "submissionMode": "K8sJobMode",
        "submitterConfig": {"backoffLimit": SUBMIT_RETRIES},
        "submitterPodTemplate": submitter_pod(spec),
        "backoffLimit": spec.retries,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": spec.ttl_s,
        "rayClusterSpec": _cluster(spec, job_config=run, output=output),
    }
    if spec.deadline_h is not None:
        job["activeDeadlineSeconds"] = max(1, round(spec.deadline_h * 3600))
    return [config, {"apiVersion": API_VERSION, "kind": "RayJob", "metadata": _metadata(spec, run), "spec": job}]


def worker_nodes(spec: ClusterSpec) -> list[Nodes]:
    """Return the nodes that actors may run on, as KubeRay tells Ray of them: CPUs are rounded up."""
    return [
        Nodes(group=group.name, nodes=group.nodes_max, cpus=math.ceil(group.cpus), gpus=group.gpus)
        for group in spec.groups
    ]


def _metadata(spec: ClusterSpec, name: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "mue", "app.kubernetes.io/instance": name}
    namespace = {"namespace": spec.namespace} if spec.namespace else {}
    return {"name": name, **namespace, "labels": labels}


def _cluster(spec: ClusterSpec, *, job_config: str | None = None, output: str | None = None) -> dict[str, Any]:
    return {
        "rayVersion": spec.ray_version,
        # The operator makes the token, keeps it in a Secret and gives it to every container of the cluster.
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "idleTimeoutSeconds": spec.idle_s,
            "upscalingMode": "Default",
            "securityContext": dict(UNPRIVILEGED),
        },
        "headGroupSpec": {
            "serviceType": "ClusterIP",
            # No rows on the head: what is killed for want of memory must not be the control plane.
            "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},
            "template": head_pod(spec, job_config=job_config, job_folder=JOB_FOLDER, output=output),
        },
        "workerGroupSpecs": [_group(spec, group) for group in spec.groups],
    }


def _group(spec: ClusterSpec, group: NodeGroup) -> dict[str, Any]:
    store_bytes = (group.object_store_gib << 30) * 19 // 20
    return {
        "groupName": group.name,
        "replicas": group.nodes_min,
        "minReplicas": group.nodes_min,
        "maxReplicas": group.nodes_max,
        # KubeRay would know GPUs by the end of their name in Kubernetes, which need not be "gpu".
        "rayStartParams": {"num-gpus": str(group.gpus), "object-store-memory": str(store_bytes)},
        "template": worker_pod(spec, group),
    }
