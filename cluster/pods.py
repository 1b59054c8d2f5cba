"""Pod templates of head, workers and submitter: no privilege, a graceful end, Ray's object store in shared memory."""

from __future__ import annotations

from typing import Any

from cluster.spec import SPOT_TAINTS, ClusterSpec, HeadNode, NodeGroup

KILL_MARGIN_S = 10
"""Seconds of the grace period that are left for the processes to end after preStop."""
UNPRIVILEGED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Security context of every container."""


def head_pod(spec: ClusterSpec, *, job_config: str | None, job_folder: str, output: str | None) -> dict[str, Any]:
    """Return the head's pod; with a job, its file is mounted, and the end of the pod is announced to it."""
    container = _container(spec, "ray-head", cpus=spec.head.cpus, memory_gib=spec.head.memory_gib)
    container["ports"] = [
        {"containerPort": port, "name": name} for name, port in (("gcs", 6379), ("dashboard", 8265), ("client", 10001))
    ]
    volumes = [_shared_memory(_head_shm_gib(spec.head))]
    if job_config is not None:
        container["volumeMounts"].append({"name": "job", "mountPath": job_folder, "readOnly": True})
        volumes.append({"name": "job", "configMap": {"name": job_config}})
    if output is not None:
        # No shell here: the folder's name is one word whatever it contains.
        wait_s = str(spec.grace_s - KILL_MARGIN_S)
        container["lifecycle"] = {"preStop": {"exec": {"command": ["mue", "cancel", "--wait", wait_s, "--", output]}}}
    return _pod(spec, container, volumes, node_selector=spec.head.node_selector)


def worker_pod(spec: ClusterSpec, group: NodeGroup) -> dict[str, Any]:
    """Return a worker's pod; before it ends, Ray is told to give it no further work.

    A raylet that is told so ends by itself once nothing runs on its node, and `ray start --block` stays: a wait by the
    clock would hold every node that the autoscaler takes away, and cost its price, until the grace period is over.
    """
    container = _container(spec, "ray-worker", cpus=group.cpus, memory_gib=group.memory_gib)
    if group.gpus:
        for bound in ("requests", "limits"):
            container["resources"][bound][group.gpu_resource] = group.gpus
    drain_s = spec.grace_s - KILL_MARGIN_S
    drain = (
        f"ray drain-node --reason DRAIN_NODE_REASON_PREEMPTION --reason-message preStop "
        f"--deadline-remaining-seconds {drain_s}; "
        f"n=0; while [ $n -lt {drain_s} ] && grep -qsx raylet /proc/[0-9]*/comm; do sleep 1; n=$((n + 1)); done"
    )
    container["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/sh", "-c", drain]}}}
    taints = [*(SPOT_TAINTS if group.spot else ()), *([group.gpu_resource] if group.gpus else ()), *group.taints]
    pod = _pod(spec, container, [_shared_memory(group.object_store_gib)], node_selector=group.node_selector)
    if taints:
        pod["spec"]["tolerations"] = [
            {"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in dict.fromkeys(taints)
        ]
    # A cloud's identity comes without it; on the head Ray's autoscaler needs one.
    pod["spec"]["automountServiceAccountToken"] = False
    return pod


def submitter_pod(spec: ClusterSpec) -> dict[str, Any]:
    """Return the pod that hands the job over: KubeRay's own without privileges; command and token come from KubeRay."""
    container = {
        "name": "ray-job-submitter",
        "image": spec.image,
        "resources": {"requests": {"cpu": "500m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "securityContext": dict(UNPRIVILEGED),
    }
    pod = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    return {"metadata": {}, "spec": pod}


def _head_shm_gib(head: HeadNode) -> int:
    return max(1, head.memory_gib * 3 // 10)


def _container(spec: ClusterSpec, name: str, *, cpus: float, memory_gib: int) -> dict[str, Any]:
    amounts = {
        "cpu": f"{cpus:g}" if float(cpus).is_integer() else f"{round(cpus * 1000)}m",
        "memory": f"{memory_gib}Gi",
    }
    container: dict[str, Any] = {
        "name": name,
        "image": spec.image,
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "securityContext": dict(UNPRIVILEGED),
        "volumeMounts": [{"name": "shared-memory", "mountPath": "/dev/shm"}],
    }
    if spec.env_secret:
        container["envFrom"] = [{"secretRef": {"name": spec.env_secret}}]
    if spec.shared_claim:
        container["volumeMounts"].append({"name": "shared", "mountPath": spec.shared_path})
    return container


def _shared_memory(gib: int) -> dict[str, Any]:
    return {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": f"{gib}Gi"}}


def _pod(
    spec: ClusterSpec, container: dict[str, Any], volumes: list[dict[str, Any]], *, node_selector: dict[str, str]
) -> dict[str, Any]:
    if spec.shared_claim:
        volumes.append({"name": "shared", "persistentVolumeClaim": {"claimName": spec.shared_claim}})
    pod: dict[str, Any] = {
        "containers": [container],
        "volumes": volumes,
        "terminationGracePeriodSeconds": spec.grace_s,
        "securityContext": {"fsGroup": 1000},
    }
    if spec.service_account:
        pod["serviceAccountName"] = spec.service_account
    if node_selector:
        pod["nodeSelector"] = dict(node_selector)
    return {"metadata": {}, "spec": pod}
