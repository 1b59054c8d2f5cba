"""A `ClusterSpec` out of a YAML file or a profile, and manifests of it with a job. Imports neither torch nor ray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal

import yaml
from pydantic import ValidationError

from cluster.kuberay import ray_cluster, ray_job, worker_nodes
from cluster.placement import Nodes, check_placement
from cluster.profiles import profile_text
from cluster.slurm import slurm_nodes, slurm_script
from cluster.spec import ClusterSpec
from cluster.yaml_text import yaml_text
from jobs.lasting_paths import with_lasting_paths
from jobs.reachable import lies_under, local_paths, named
from jobs.run_name import checked_run_name, run_name
from jobs.settings import spec_as_yaml
from jobs.spec import parse_override, read_document, with_setting
from mue_model.config import ConfigError
from mue_model.config_errors import problems_of
from pipeline.spec import JobSpec

Target = Literal["raycluster", "rayjob", "slurm"]


def load_cluster(path: str | None, *, profile: str, overrides: list[str]) -> ClusterSpec:
    """Return the valid cluster of the file `path`, or of a profile where there is none, with `a.b=value` settings.

    Raises:
        ConfigError: On anything wrong, all wrong keys in one message.
    """
    if path is None:
        document, where = yaml.safe_load(known_profile(profile)), f"profile {profile}"
    else:
        document, where = read_document(path), path
    for text in overrides:
        keys, value = parse_override(text, option="--set-cluster", example="ray_version=2.60.0")
        document = with_setting(document, keys, value, where=where)
    try:
        return ClusterSpec.model_validate(document)
    except ValidationError as error:
        lines = "; ".join(problem.text for problem in problems_of(ClusterSpec, error))
        raise ConfigError(f"{where}: {lines}") from error


def known_profile(name: str) -> str:
    """Return the text of a profile, or raise `ConfigError`."""
    try:
        return profile_text(name)
    except ValueError as error:
        raise ConfigError(f"--profile: {error}") from error


def rendered(target: Target, cluster: ClusterSpec, job: JobSpec | None, *, run: str | None) -> str:
    """Return the manifest or script; it depends on nothing but what is given.

    Raises:
        ConfigError: A job is needed and none is given, or what is given cannot be rendered.
    """
    if target == "raycluster":
        return yaml_text([ray_cluster(cluster)])
    if job is None:
        raise ConfigError(f"{target}: needs a job; give inputs and --output, or a job file with -c")
    name = checked_run_name(run) if run else run_name(job.output.url)
    try:
        if target == "slurm":
            # All nodes of a Slurm site see the same paths; they must not depend on where the script runs.
            own = _on_cluster(with_lasting_paths(job), cluster, slurm_nodes(cluster))
            return slurm_script(cluster, run=name, job_yaml=spec_as_yaml(own))
        _check_paths(cluster, job)
        own = _on_cluster(job, cluster, worker_nodes(cluster))
        return yaml_text(ray_job(cluster, run=name, job_yaml=spec_as_yaml(own), output=job.output.url))
    except ValueError as error:
        raise ConfigError(f"{target}: {error}") from error


def _on_cluster(job: JobSpec, cluster: ClusterSpec, nodes: Sequence[Nodes]) -> JobSpec:
    """Return the job with what it leaves to the cluster: how long it may drain, and a GPU for an actor.

    GPUs must be asked for where nodes have any: a node that is not there yet comes only for what is asked for. What no
    node can have would be waited for in vain, and is refused.
    """
    actors, failures = job.actors, job.failures
    if actors.num_gpus is None and any(kind.gpus for kind in nodes):
        actors = actors.model_copy(update={"num_gpus": 1.0})
    check_placement(nodes, actors=actors.min, num_cpus=actors.num_cpus, num_gpus=actors.num_gpus or 0.0)
    if "://" in job.model:
        raise ValueError(f"model = {job.model}: only folders can be read, no URLs; name one that all nodes see")
    if "drain_s" not in failures.model_fields_set:
        failures = failures.model_copy(update={"drain_s": float(cluster.drain_s)})
    return job.model_copy(update={"actors": actors, "failures": failures})


def _check_paths(cluster: ClusterSpec, job: JobSpec) -> None:
    """Refuse inputs and outputs that pods cannot open; a model's folder may be part of the image."""
    relative = [path for path in local_paths(job) if path.key == "model" and not PurePosixPath(path.path).is_absolute()]
    if relative:
        raise ValueError(
            f"{named(relative)}: no pod has the directory that you are in; give the absolute path of a folder in the "
            "image, or on the volume of shared_claim"
        )
    shared = cluster.shared_path if cluster.shared_claim else None
    lost = [path for path in local_paths(job) if path.key != "model" and not (shared and lies_under(path.path, shared))]
    if lost:
        where = f"lie under shared_path {shared}" if shared else "set shared_claim to a volume that holds them"
        raise ValueError(f"{named(lost)}: no pod can open it, and each attempt has new pods; give URLs, or {where}")
