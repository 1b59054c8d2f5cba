"""Clusters to start from. Each says in its first lines what of it was run, and what was only rendered."""

from __future__ import annotations

from importlib import resources

PROFILES = ("cpu", "gpu", "gpu-spot", "slurm")


def profile_text(name: str) -> str:
    """Return the YAML of a profile.

    Raises:
        ValueError: There is none of this name.
    """
    if name not in PROFILES:
        raise ValueError(f"no profile '{name}'; there are {', '.join(PROFILES)}")
    return resources.files("cluster").joinpath("profiles", f"{name}.yaml").read_text("utf-8")
