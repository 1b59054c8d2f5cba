"""KubeRay manifests: as pinned, valid by schema, and nothing of a user's changes their structure."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cluster.kuberay import JOB_FOLDER, ray_cluster, ray_job
from cluster.spec import ClusterSpec, NodeGroup
from cluster.yaml_text import yaml_text

SCHEMA = json.loads((Path(__file__).parent / "kuberay_schema.json").read_text("utf-8"))
JOB = "inputs:\n  urls: ['s3://in/{00000..00003}.tar']\noutput: {url: 's3://out/run'}\n"
OUTPUT = "s3://out/run"


def job_of(spec: ClusterSpec, **changes: str) -> list[dict[str, Any]]:
    return ray_job(spec, **{"run": "captions-1a2b3c", "job_yaml": JOB, "output": OUTPUT, **changes})


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]
    return spec.get("rayClusterSpec", spec)


def pods_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = cluster_of(document)
    return [group["template"] for group in (found["headGroupSpec"], *found["workerGroupSpecs"])]


def check_schema(document: dict[str, Any]) -> None:
    """KubeRay's fields by our schema, pods and ConfigMaps by Kubernetes' own, unknown fields refused."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    if document["kind"] == "ConfigMap":
        kubernetes_validate.validate(document, "1.33", strict=True)
        return
    jsonschema.validate(document, SCHEMA)
    submitter = document["spec"].get("submitterPodTemplate")
    for template in [*pods_of(document), *filter(None, [submitter])]:
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template}
        kubernetes_validate.validate(pod, "1.33", strict=True)


def test_manifests_are_as_pinned(full: ClusterSpec, golden: Callable[[str, str], None]) -> None:
    golden("raycluster.yaml", yaml_text([ray_cluster(full)]))
    golden("rayjob.yaml", yaml_text(job_of(full)))


@pytest.mark.parametrize("spec", [ClusterSpec(), None], ids=["least", "full"])
def test_manifests_fit_the_schemas(spec: ClusterSpec | None, full: ClusterSpec) -> None:
    for document in (ray_cluster(spec or full), *job_of(spec or full)):
        check_schema(document)


WORDS = ["on", "y", "n", "null", "1e3", "0x10", "12.5e3", "a.b", "A-1", "1", ""]
KEYS = st.sampled_from(["a", "y", "1e3", "on/y", "cloud.google.com/gke-accelerator"])
GROUPS = st.builds(
    NodeGroup,
    name=st.sampled_from(["on", "null", "y", "a" * 30]),
    nodes_min=st.integers(0, 9),
    nodes_max=st.integers(9, 10_000),
    cpus=st.sampled_from([0.001, 0.5, 1 / 3, 8.0, 1023.99999, 1024.0]),
    memory_gib=st.integers(2, 65536),
    gpus=st.integers(0, 64),
    gpu_resource=st.sampled_from(["nvidia.com/gpu", "on/y", "1.example/1e3"]),
    node_selector=st.dictionaries(KEYS, st.sampled_from(WORDS), max_size=3),
    spot=st.booleans(),
    taints=st.lists(KEYS, max_size=3).map(tuple),
)
NAMES = st.sampled_from(["on", "y", "null", "n", "a" * 63])
SPECS = st.builds(
    ClusterSpec,
    name=st.sampled_from(["on", "y", "a" * 47]),
    namespace=st.none() | NAMES,
    image=st.sampled_from(["mue:1e3", "localhost:5000/mue:0x10", f"a/b@sha256:{'0' * 64}"]),
    groups=GROUPS.map(lambda group: (group,)),
    grace_s=st.integers(30, 3600),
    retries=st.integers(0, 100),
    ttl_s=st.integers(0, 2_592_000),
    deadline_h=st.none() | st.floats(1e-9, 24 * 365),
    env_secret=st.none() | NAMES,
    service_account=st.none() | NAMES,
    shared_claim=st.none() | NAMES,
)


@settings(deadline=None, max_examples=5, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(spec=SPECS)
def test_whatever_a_spec_may_say_fits_the_schemas(spec: ClusterSpec) -> None:
    for document in (ray_cluster(spec), *job_of(spec)):
        [read] = yaml.safe_load_all(yaml_text([document]))
        check_schema(read)
        for pod in pods_of(read) if read["kind"] != "ConfigMap" else []:
            for container in pod["spec"]["containers"]:
                amounts = [amount for bound in container["resources"].values() for amount in bound.values()]
                assert all(re.fullmatch(r"[1-9][0-9]*(m|Mi|Gi)?", str(amount)) for amount in amounts), amounts


def test_the_schemas_would_notice() -> None:
    document = ray_cluster(ClusterSpec())
    pods_of(document)[0]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(Exception, match="imagee"):
        check_schema(document)
    document = ray_cluster(ClusterSpec())
    document["spec"]["enableInTreeAutoscaling"] = "yes"
    with pytest.raises(jsonschema.ValidationError):
        check_schema(document)


def test_a_job_outlives_its_clusters_and_leaves_none_behind(full: ClusterSpec) -> None:
    config, job = job_of(full)
    spec = job["spec"]
    assert spec["backoffLimit"] == full.retries > 0
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["ttlSecondsAfterFinished"] == full.ttl_s
    assert spec["activeDeadlineSeconds"] == 36.5 * 3600
    assert shlex.split(spec["entrypoint"])[-3:] == ["--stop-ray-job", "-c", "/etc/mue/job.yaml"]
    # KubeRay's submitter has a shell read it, and Ray's job server another one.
    assert shlex.split(spec["entrypoint"]) == spec["entrypoint"].split()
    assert config["data"] == {"job.yaml": JOB}
    head = pods_of(job)[0]["spec"]
    assert {"name": "job", "configMap": {"name": config["metadata"]["name"]}} in head["volumes"]


def test_every_pod_has_token_authentication_shared_memory_and_time_to_end(full: ClusterSpec) -> None:
    for document in (ray_cluster(full), job_of(full)[1]):
        cluster = cluster_of(document)
        assert cluster["authOptions"] == {"mode": "token"}
        assert cluster["enableInTreeAutoscaling"] is True
        assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP", "nothing listens outside the cluster"
        for pod in pods_of(document):
            assert pod["spec"]["terminationGracePeriodSeconds"] == full.grace_s
            [container] = pod["spec"]["containers"]
            assert {"name": "shared-memory", "mountPath": "/dev/shm"} in container["volumeMounts"]
            assert container["envFrom"] == [{"secretRef": {"name": "object-store"}}]


def test_no_container_has_privileges_those_that_kuberay_adds_neither(full: ClusterSpec) -> None:
    for document in (ray_cluster(full), job_of(full)[1]):
        submitter = document["spec"].get("submitterPodTemplate")
        assert (submitter is None) == (document["kind"] == "RayCluster")
        pods = [pod["spec"] for pod in [*pods_of(document), *filter(None, [submitter])]]
        assert pods[-1]["automountServiceAccountToken"] is False
        contexts = [container["securityContext"] for pod in pods for container in pod["containers"]]
        for context in (*contexts, cluster_of(document)["autoscalerOptions"]["securityContext"]):
            assert (context["runAsNonRoot"], context["allowPrivilegeEscalation"]) == (True, False)
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_no_volume_can_be_mounted_over_what_a_pod_has(full: ClusterSpec) -> None:
    own = {
        mount["mountPath"]
        for pod in pods_of(job_of(full)[1])
        for mount in pod["spec"]["containers"][0]["volumeMounts"]
        if mount["name"] != "shared"
    }
    assert own == {"/dev/shm", JOB_FOLDER}
    for path in own:
        with pytest.raises(ValueError, match="mount the volume elsewhere"):
            ClusterSpec(shared_path=path)


def test_every_pod_has_the_service_account_and_no_worker_its_token(full: ClusterSpec) -> None:
    """The driver on the head reads and writes the store too; Kubernetes' own token is for its autoscaler."""
    for spec in (full, full.model_copy(update={"service_account": None})):
        for document in (ray_cluster(spec), job_of(spec)[1]):
            head, *workers = (pod["spec"] for pod in pods_of(document))
            assert {pod.get("serviceAccountName") for pod in (head, *workers)} == {spec.service_account}
            assert "automountServiceAccountToken" not in head
            assert [pod["automountServiceAccountToken"] for pod in workers] == [False, False]


def test_the_object_store_fits_its_shared_memory(full: ClusterSpec) -> None:
    for group, found in zip(full.groups, cluster_of(ray_cluster(full))["workerGroupSpecs"], strict=True):
        [memory] = [v for v in found["template"]["spec"]["volumes"] if v["name"] == "shared-memory"]
        assert memory["emptyDir"] == {"medium": "Memory", "sizeLimit": f"{group.object_store_gib}Gi"}
        assert 0 < int(found["rayStartParams"]["object-store-memory"]) <= group.object_store_gib << 30


def test_groups_have_their_gpus_and_only_spot_groups_tolerate_spot_nodes(full: ClusterSpec) -> None:
    decode, gpu = (pod["spec"] for pod in pods_of(ray_cluster(full))[1:])
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in decode["containers"][0]["resources"]["limits"]
    groups = cluster_of(ray_cluster(full))["workerGroupSpecs"]
    assert [group["rayStartParams"]["num-gpus"] for group in groups] == ["0", "1"], "whatever Kubernetes calls them"
    keys = [toleration["key"] for toleration in gpu["tolerations"]]
    assert {"cloud.google.com/gke-spot", "nvidia.com/gpu", "example.com/dedicated"} <= set(keys)
    assert "tolerations" not in decode


def test_the_end_of_a_pod_is_announced_within_its_grace_period(full: ClusterSpec) -> None:
    head, *workers = (
        pod["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] for pod in pods_of(job_of(full)[1])
    )
    assert head == ["mue", "cancel", "--wait", str(full.grace_s - 10), "--", OUTPUT]
    for command in workers:
        assert command[:2] == ["/bin/sh", "-c"]
        assert f"--deadline-remaining-seconds {full.grace_s - 10};" in command[2]


@pytest.mark.parametrize(("ends_after", "slept"), [(0, 0), (3, 3), (None, 50)], ids=["idle", "drained", "busy"])
def test_a_worker_ends_as_soon_as_ray_has_let_go_of_it(
    full: ClusterSpec, tmp_path: Path, ends_after: int | None, slept: int
) -> None:
    """Nodes that the autoscaler takes away are idle: nobody should pay for their grace period."""
    worker = pods_of(ray_cluster(full))[1]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    for number, name in ((1, "ray"), (12, "raylet"), (13, "raylet-like")):
        (tmp_path / "proc" / str(number)).mkdir(parents=True)
        (tmp_path / "proc" / str(number) / "comm").write_text(f"{name}\n")
    (tmp_path / "ray").write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n[ "{ends_after}" != 0 ] || rm {tmp_path}/proc/12/*\n'
    )
    (tmp_path / "sleep").write_text(
        f"#!/bin/sh\necho >> {tmp_path}/slept\n"
        f'[ "$(grep -c "" {tmp_path}/slept)" != "{ends_after}" ] || rm {tmp_path}/proc/12/comm\n'
    )
    for name in ("ray", "sleep"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / "slept").touch()
    hook = [word.replace("/proc/", f"{tmp_path}/proc/") for word in worker]
    subprocess.run(hook, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, timeout=60, check=False)
    assert (tmp_path / "asked").read_text().startswith("drain-node --reason DRAIN_NODE_REASON_PREEMPTION ")
    assert len((tmp_path / "slept").read_text().splitlines()) == slept


HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        "x\n---\nkind: Secret",
        "a: b",
        "*anchor",
        "!!python/object:os.system",
        "'\"`$(id)`",
        "\u2028kind: Pod",
        "- x",
        "# y",
        "~",
        "yes",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(job_yaml=HOSTILE, output=HOSTILE.filter(bool))
def test_no_text_of_a_job_changes_the_documents_structure(full: ClusterSpec, job_yaml: str, output: str) -> None:
    documents = job_of(full, job_yaml=job_yaml, output=output)
    read = list(yaml.safe_load_all(yaml_text(documents)))
    assert read == documents
    assert [document["kind"] for document in read] == ["ConfigMap", "RayJob"]
    command = pods_of(read[1])[0]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert command[-2:] == ["--", output], "one word, and no option, whatever it contains"


@pytest.mark.parametrize("run", ["", "UPPER", "1st", "a" * 48, "a b", "a\nkind: Pod", "-x", "x-"])
def test_names_that_kubernetes_refuses_are_refused_here(full: ClusterSpec, run: str) -> None:
    with pytest.raises(ValueError, match="run name"):
        job_of(full, run=run)


def test_a_job_too_large_for_a_config_map_is_refused(full: ClusterSpec) -> None:
    with pytest.raises(ValueError, match="1 MiB"):
        job_of(full, job_yaml="x" * (1 << 20))
