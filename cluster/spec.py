"""`ClusterSpec`: the machines that a job runs on, as plain data. Frozen; a value that could break out of a manifest is
refused here, so renderers need not doubt what they are given.
"""

from __future__ import annotations

from typing import Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from cluster.names import (
    check_absolute_path,
    check_image,
    check_label_key,
    check_label_value,
    check_mount_path,
    check_name,
    check_resource_key,
    check_slurm_word,
)

RAY_VERSION = "2.60.0"
"""The Ray that jobs were tested with; image and cluster must agree on it."""
LONGEST_CLUSTER_NAME = 47
"""KubeRay allows 53 characters for a cluster and appends six to a job's name to make one."""
END_S = 15
"""Seconds of `grace_s` that are not for rows."""
HEAD_GROUP = "headgroup"
"""What Ray's autoscaler calls the head among the groups."""
SPOT_TAINTS = ("cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority")
"""Taints with which GKE and AKS mark spot nodes. Elsewhere name one's own in `taints`."""


class ClusterConfig(BaseModel):
    """Frozen, keyword-only; an unknown key is an error, and so is a number that is not finite, or a truth value."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """pydantic takes `true`, and YAML's `yes`, for a 1."""
        kind = cls.model_fields[info.field_name].annotation if info.field_name else None
        if isinstance(value, bool) and {int, float} & {kind, *get_args(kind)}:
            raise ValueError("expected a number")
        return value


class HeadNode(ClusterConfig):
    """The node that holds Ray's control plane and the job's driver; it runs no rows."""

    cpus: float = Field(default=2, ge=0.001, le=1024)
    """CPUs reserved for it."""
    memory_gib: int = Field(default=8, ge=2, le=65536)
    """Memory reserved for it, in GiB; three tenths of it, and at least 1, are what Ray's object store may take."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes that it may run on. Keep it off spot nodes: with the head the whole attempt ends."""

    _labels = field_validator("node_selector")(classmethod(lambda cls, value: _labels(value)))


class NodeGroup(ClusterConfig):
    """Worker nodes of one kind."""

    name: str
    """Lower-case letters, digits and hyphens, at most 30; not `headgroup`, as Ray's autoscaler calls the head."""
    nodes_min: int = Field(default=0, ge=0, le=10_000)
    """Nodes that are always there."""
    nodes_max: int = Field(default=1, gt=0, le=10_000)
    """Most nodes."""
    cpus: float = Field(default=8, ge=0.001, le=1024)
    """CPUs of one node. Reading and decoding take about 8 per GPU."""
    memory_gib: int = Field(default=32, gt=0, le=65536)
    """Memory of one node in GiB."""
    shm_gib: int | None = Field(default=None, gt=0)
    """Of that memory, what Ray's object store may take as /dev/shm, in GiB. Left out: three tenths."""
    gpus: int = Field(default=0, ge=0, le=64)
    """GPUs of one node; 0 makes it a group of CPU nodes, which read and decode."""
    gpu_resource: str = "nvidia.com/gpu"
    """What Kubernetes calls the GPUs."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes, as in {cloud.google.com/gke-accelerator: nvidia-l4}."""
    spot: bool = False
    """The nodes may be taken away at any moment: tolerate the taints that mark such nodes."""
    taints: tuple[str, ...] = ()
    """Keys of further taints to tolerate."""

    _labels = field_validator("node_selector")(classmethod(lambda cls, value: _labels(value)))
    _resource = field_validator("gpu_resource")(classmethod(lambda cls, value: check_resource_key(value)))
    _taints = field_validator("taints")(classmethod(lambda cls, value: tuple(map(check_label_key, value))))

    @field_validator("name")
    @classmethod
    def _own_name(cls, value: str) -> str:
        if check_name(value, longest=30) == HEAD_GROUP:
            raise ValueError("Ray's autoscaler calls the head so, and would take these nodes for it; give another name")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.nodes_max < self.nodes_min:
            raise ValueError(f"group {self.name}: nodes_max {self.nodes_max} is below nodes_min {self.nodes_min}")
        if self.object_store_gib > self.memory_gib / 2:
            raise ValueError(
                f"group {self.name}: shm_gib {self.object_store_gib} is more than half of memory_gib {self.memory_gib};"
                " the rest is for the processes"
            )
        return self

    @property
    def object_store_gib(self) -> int:
        """GiB of /dev/shm, which counts as memory of the pod."""
        return self.shm_gib if self.shm_gib is not None else max(1, self.memory_gib * 3 // 10)


class SlurmConfig(ClusterConfig):
    """What a Slurm batch script asks for; the nodes themselves are the spec's first group."""

    partition: str | None = None
    """Partition; left out: the site's default."""
    account: str | None = None
    """Account to charge; left out: the user's default."""
    time_limit_h: int = Field(default=24, gt=0, le=24 * 365)
    """Hours after which Slurm ends the job; it is requeued and resumes. `grace_s` is at most half of it."""
    requeues: int = Field(default=100, ge=0, le=100_000)
    """How often the job may begin anew at its time limit; new beginnings after a node failed count, too. `retries` is
    not for this: a job at its limit has not failed. With 100, one of 24 hours goes on for 100 days."""
    work_folder: str = "/tmp"
    """Folder on each node for Ray's sessions; local and short (sockets have short names)."""
    shared_folder: str | None = None
    """Folder that all nodes see, for the token of the cluster; left out: where the script was submitted."""
    activate: str | None = None
    """Absolute path of the `activate` of a virtual environment with mue, on all nodes."""

    _words = field_validator("partition", "account")(
        classmethod(lambda cls, value: None if value is None else check_slurm_word(value))
    )
    _paths = field_validator("work_folder", "shared_folder", "activate")(
        classmethod(lambda cls, value: None if value is None else check_absolute_path(value))
    )


class ClusterSpec(ClusterConfig):
    """A cluster for jobs. `mue cluster init` prints one, `mue cluster render` makes manifests of it."""

    name: str = Field(default="mue")
    """Name of the cluster, and of jobs on it: lower-case letters, digits and hyphens, a letter first, at most 47."""
    namespace: str | None = None
    """Kubernetes namespace; left out: that of the current context."""
    image: str = "registry.example.com/mue:0.1.0"
    """Container image with mue and Ray (cluster/Dockerfile), from a registry that the nodes can pull from."""
    ray_version: str = Field(default=RAY_VERSION, pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")
    """Ray in that image; jobs need 2.60 or later, KubeRay 2.52 for its tokens."""
    head: HeadNode = HeadNode()
    groups: tuple[NodeGroup, ...] = Field(default=(NodeGroup(name="cpu"),), max_length=20)
    """Worker groups; a job's actors go where their GPUs are, reads and decodes anywhere."""
    idle_s: int = Field(default=120, ge=0, le=86400)
    """Seconds without work after which the autoscaler takes a node away."""
    grace_s: int = Field(default=60, ge=30, le=3600)
    """Seconds between the announcement of a pod's end, or of a Slurm job's, and its kill. The rows in hand have all but
    15 of them, where the job's failures.drain_s says nothing else."""
    retries: int = Field(default=5, ge=0, le=100)
    """How often a job that failed is run anew, on a new cluster; it resumes from the output folder. Exit codes 2 and 3,
    which a new cluster would end with again, are not retried."""
    ttl_s: int = Field(default=3600, ge=0, le=2_592_000)
    """Seconds that a finished job and its cluster are kept, for its logs."""
    deadline_h: float | None = Field(default=None, gt=0, le=24 * 365)
    """Hours of one attempt after which the job is given up; each retry begins to count anew. Left out: never."""
    env_secret: str | None = None
    """Kubernetes Secret whose entries become environment variables of every pod, as for S3 keys. Only its name is
    rendered."""
    service_account: str | None = None
    """Kubernetes service account of every pod, as for a cloud's workload identity; it must exist. KubeRay lets it do
    what the head's autoscaler does; workers have no token of it."""
    shared_claim: str | None = None
    """PersistentVolumeClaim mounted at `shared_path` in every pod, for inputs, models or the output."""
    shared_path: str = "/mnt/shared"
    """Where it is mounted."""
    slurm: SlurmConfig = SlurmConfig()

    _name = field_validator("name")(classmethod(lambda cls, value: check_name(value, longest=LONGEST_CLUSTER_NAME)))
    _ray = field_validator("ray_version")(classmethod(lambda cls, value: _new_enough(value)))
    _names = field_validator("namespace", "env_secret", "service_account", "shared_claim")(
        classmethod(lambda cls, value: None if value is None else check_name(value, longest=63))
    )
    _image = field_validator("image")(classmethod(lambda cls, value: check_image(value)))
    _path = field_validator("shared_path")(classmethod(lambda cls, value: check_mount_path(value)))

    @property
    def drain_s(self) -> int:
        """Seconds of `grace_s` for the rows in hand; the others are for the job to hear of its end, and to end."""
        return self.grace_s - END_S

    @model_validator(mode="after")
    def _groups_differ(self) -> Self:
        # Not a bound of the field: of one wrong group pydantic would say that there is none, too.
        if not self.groups:
            raise ValueError("groups: expected at least 1")
        names = [group.name for group in self.groups]
        if len(set(names)) < len(names):
            raise ValueError(f"groups: two are called {max(names, key=names.count)}; give each a name of its own")
        return self


def _labels(labels: dict[str, str]) -> dict[str, str]:
    return {check_label_key(key): check_label_value(value) for key, value in labels.items()}


def _new_enough(ray_version: str) -> str:
    if tuple(map(int, ray_version.split("."))) < tuple(map(int, RAY_VERSION.split("."))):
        raise ValueError(f"mue needs Ray {RAY_VERSION} or later")
    return ray_version
