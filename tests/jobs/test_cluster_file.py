from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

import pytest
import yaml

from jobs.cluster_file import load_cluster, rendered
from jobs.spec import load_spec
from mue_model.config import ConfigError
from pipeline.spec import JobSpec


def job(*inputs: str, output: str = "s3://out/run", overrides: list[str] | None = None) -> JobSpec:
    return load_spec(None, inputs=inputs or ["s3://in/*.tar"], output=output, overrides=overrides or [])


def on_gpus(spec: JobSpec, *, drain_s: float) -> JobSpec:
    """What a job that leaves them to the cluster gets from it."""
    actors = spec.actors.model_copy(update={"num_gpus": 1.0})
    return spec.model_copy(update={"actors": actors, "failures": spec.failures.model_copy(update={"drain_s": drain_s})})


def job_in(target: Literal["rayjob", "slurm"], text: str) -> JobSpec:
    if target == "rayjob":
        text = next(yaml.safe_load_all(text))["data"]["job.yaml"]
    else:
        text = next(word for word in shlex.split(text, comments=True) if word.startswith("JOB_YAML="))[9:]
    return JobSpec.model_validate(yaml.safe_load(text))


def test_a_file_and_settings_on_top_of_it(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("name: mine\ngroups: [{name: a, cpus: 4}]\n")
    spec = load_cluster(str(path), profile="cpu", overrides=["grace_s=90", "slurm.partition=gpu"])
    assert (spec.name, spec.grace_s, spec.slurm.partition, spec.groups[0].cpus) == ("mine", 90, "gpu", 4)


def test_all_wrong_keys_are_named_at_once_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("nmae: mine\ngroups: [{name: A}]\n")
    with pytest.raises(ConfigError, match=r"cluster.yaml.*nmae.*did you mean 'name'") as caught:
        load_cluster(str(path), profile="cpu", overrides=[])
    assert "groups.0.name = 'A'" in str(caught.value)
    with pytest.raises(ConfigError, match="--profile: no profile 'gpuu'"):
        load_cluster(None, profile="gpuu", overrides=[])


def test_what_is_wrong_in_a_group_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("groups: [{name: a, node_selector: {pool: yes}}]\n")
    with pytest.raises(ConfigError) as refused:
        load_cluster(str(tmp_path / "c.yaml"), profile="cpu", overrides=[])
    assert "groups.0.node_selector.pool" in str(refused.value)
    assert "at least 1" not in str(refused.value)


def test_the_job_in_a_manifest_is_the_job(tmp_path: Path) -> None:
    spec = job(overrides=["exits.image=0.9", "actors.max=8"])
    config, ray_job = yaml.safe_load_all(
        rendered("rayjob", load_cluster(None, profile="gpu", overrides=[]), spec, run=None)
    )
    path = tmp_path / "job.yaml"
    path.write_text(config["data"]["job.yaml"])
    assert load_spec(str(path), inputs=[], output=None, overrides=[]) == on_gpus(spec, drain_s=45)
    assert ray_job["metadata"]["name"].startswith("run-")


def test_paths_in_a_script_are_absolute_as_in_a_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the script starts is not where it was rendered."""
    monkeypatch.chdir(tmp_path)
    spec = job("rel/*.tar", output="out", overrides=["model=m"])
    found = job_in("slurm", rendered("slurm", load_cluster(None, profile="slurm", overrides=[]), spec, run="mine"))
    assert found.inputs.urls == (f"{tmp_path}/rel/*.tar",)
    assert (found.output.url, found.model) == (f"{tmp_path}/out", f"{tmp_path}/m")


def test_the_job_in_a_script_is_the_job() -> None:
    spec = job("/data/it's $(here).tar", output="/scratch/run")
    script = rendered("slurm", load_cluster(None, profile="slurm", overrides=[]), spec, run="mine")
    assert job_in("slurm", script) == on_gpus(spec, drain_s=105)
    assert "#SBATCH --job-name=mine" in script


@pytest.mark.parametrize(
    ("target", "profile", "said", "rendered_as"),
    [
        ("rayjob", "gpu-spot", [], 1),
        ("rayjob", "gpu-spot", ["actors.num_gpus=0"], 0),
        ("rayjob", "gpu-spot", ["actors.num_gpus=0.25"], 0.25),
        ("rayjob", "cpu", [], None),
        ("slurm", "slurm", [], 1),
        ("slurm", "gpu-spot", [], None),
    ],
)
def test_actors_ask_for_gpus_where_nodes_have_any(
    target: Literal["rayjob", "slurm"], profile: str, said: list[str], rendered_as: float | None
) -> None:
    """Else the autoscaler would bring no GPU node, and CPUs would answer. Slurm's nodes are the first group's."""
    cluster = load_cluster(None, profile=profile, overrides=[])
    text = rendered(target, cluster, job(overrides=said), run="mine")
    assert job_in(target, text).actors.num_gpus == rendered_as


@pytest.mark.parametrize(
    ("target", "profile", "said", "reason"),
    [
        ("rayjob", "gpu-spot", "actors.num_gpus=4", "rayjob: actors.num_gpus = 4: no node has more than 1"),
        ("rayjob", "gpu-spot", "actors.min=1000", "at most 16 fit"),
        ("rayjob", "gpu-spot", "actors.num_cpus=64", "actors.num_cpus = 64: no node has more than 16"),
        ("rayjob", "cpu", "actors.num_gpus=1", "no node has a GPU"),
        ("slurm", "slurm", "actors.min=900", r"slurm: actors.min = 900: .* at most 8 fit"),
        ("slurm", "gpu-spot", "actors.num_gpus=1", "no node has a GPU"),
    ],
)
def test_actors_that_no_node_could_hold_are_refused(
    target: Literal["rayjob", "slurm"], profile: str, said: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        rendered(target, load_cluster(None, profile=profile, overrides=[]), job(overrides=[said]), run="mine")
    assert "\n" not in str(refused.value)


def test_nodes_are_counted_as_kuberay_and_slurm_tell_ray_of_them() -> None:
    """Half a CPU is a whole one to KubeRay; a Slurm job asks for whole ones."""
    cluster = load_cluster(None, profile="cpu", overrides=["groups=[{name: a, cpus: 2.5}]"])
    assert rendered("rayjob", cluster, job(overrides=["actors.num_cpus=2.5"]), run="mine")
    with pytest.raises(ConfigError, match="no node has more than 2"):
        rendered("slurm", cluster, job(overrides=["actors.num_cpus=2.5"]), run="mine")


@pytest.mark.parametrize(("said", "drain_s"), [([], 285), (["failures.drain_s=25"], 25), (["failures.stuck_s=9"], 285)])
@pytest.mark.parametrize("target", ["rayjob", "slurm"])
def test_rows_in_hand_have_what_the_cluster_grants(
    target: Literal["rayjob", "slurm"], said: list[str], drain_s: float
) -> None:
    cluster = load_cluster(None, profile="slurm", overrides=["grace_s=300"])
    assert job_in(target, rendered(target, cluster, job(overrides=said), run="mine")).failures.drain_s == drain_s


@pytest.mark.parametrize(
    ("settings", "spec", "reason"),
    [
        ([], job("a.tar"), r"inputs.urls = a.tar: no pod can open it.*shared_claim"),
        ([], job(output="/tmp/out"), r"output.url = /tmp/out"),
        (["shared_claim=c"], job("/mnt/shared/../etc/a.tar"), r"lie under shared_path /mnt/shared"),
        ([], None, "needs a job"),
        ([], job(overrides=["model=./my-model"]), r"model = ./my-model: no pod has the directory .* absolute path"),
        (["shared_claim=c"], job(overrides=["model=my-model"]), r"model = my-model: no pod"),
        ([], job(overrides=["model=s3://models/ofa"]), r"model = s3://models/ofa: only folders can be read"),
    ],
)
def test_what_pods_cannot_open_is_refused(settings: list[str], spec: JobSpec | None, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        rendered("rayjob", load_cluster(None, profile="cpu", overrides=settings), spec, run=None)


def test_paths_on_a_shared_volume_and_models_in_the_image_are_fine() -> None:
    cluster = load_cluster(None, profile="cpu", overrides=["shared_claim=corpus"])
    spec = job("/mnt/shared/a.tar", output="/mnt/shared/out", overrides=["model=/opt/models/ofa"])
    assert "claimName: corpus" in rendered("rayjob", cluster, spec, run=None)
