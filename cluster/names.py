"""Which words may stand in a manifest or a batch script. Each check returns its word or says what is wrong with it."""

from __future__ import annotations

import re

_DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_LABEL_PART = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN_PART = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = rf"{_DOMAIN_PART}(\.{_DOMAIN_PART})*"
_IMAGE_PART = r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*"
_KEY = re.compile(rf"({_DOMAIN}/)?{_LABEL_PART}")
_VALUE = re.compile(rf"({_LABEL_PART})?")
_IMAGE = re.compile(
    rf"({_DOMAIN}(:(?P<port>[0-9]{{1,5}}))?/)?{_IMAGE_PART}(/{_IMAGE_PART})*"
    r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_PATH = re.compile(r"(/[A-Za-z0-9_.+@%=:-]+)+")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:+-]{0,127}")
LONGEST_IMAGE = 400
LONGEST_DOMAIN = 253
LONGEST_RESOURCE_DOMAIN = LONGEST_DOMAIN - len("requests.")
"""Kubernetes puts that before a resource's name where it counts a namespace's quota."""
MOST_PORT = 65535
_POD_FOLDERS = ("/dev", "/proc", "/run/secrets", "/sys", "/tmp/ray", "/var/run/secrets")
"""Where pods have something of their own: the object store, the kernel's, Ray's logs, tokens."""
_IMAGE_FOLDERS = ("/bin", "/boot", "/etc", "/lib", "/lib64", "/opt/mue", "/root", "/sbin", "/usr")
"""Where the image has (cluster/Dockerfile): the system, Python, our code, and where a job's file is mounted."""
POD_PATHS = (*_POD_FOLDERS, *_IMAGE_FOLDERS)
HOME = "/home/mue"
"""Of the user that pods run as; folders beside the image's may lie in it, but not over it."""


def check_name(value: str, *, longest: int) -> str:
    """Return a name that Kubernetes takes for anything (DNS-1035)."""
    if len(value) > longest or not _DNS_LABEL.fullmatch(value):
        raise ValueError(f"expected at most {longest} lower-case letters, digits and hyphens, a letter first")
    return value


def check_label_key(value: str) -> str:
    """Return the key of a label, taint or resource, as in example.com/name."""
    if not _KEY.fullmatch(value) or len(value.rpartition("/")[0]) > LONGEST_DOMAIN:
        raise ValueError(f"{value!r} is no key of a label or taint; expected one such as cloud.google.com/gke-spot")
    return value


def check_resource_key(value: str) -> str:
    """Return the name of an extended resource: it has a domain, and not one that Kubernetes keeps for itself."""
    domain = value.rpartition("/")[0]
    if not domain or domain.endswith("kubernetes.io") or value.startswith("requests."):
        raise ValueError(f"{value!r} is no extended resource; expected one such as nvidia.com/gpu")
    if len(domain) > LONGEST_RESOURCE_DOMAIN:
        raise ValueError(
            f"{value!r} is no extended resource: its domain has more than {LONGEST_RESOURCE_DOMAIN} letters"
        )
    return check_label_key(value)


def check_label_value(value: str) -> str:
    """Return the value of a label."""
    if not _VALUE.fullmatch(value):
        raise ValueError(f"{value!r} is no value of a label; letters, digits, '-', '_' and '.' may stand in one")
    return value


def check_image(value: str) -> str:
    """Return the reference of a container image, with a tag or a digest other than `latest`."""
    match = _IMAGE.fullmatch(value) if len(value) <= LONGEST_IMAGE else None
    if not match:
        raise ValueError("expected an image such as registry.example.com/mue:0.1.0")
    if match["port"] and not 0 < int(match["port"]) <= MOST_PORT:
        raise ValueError(f"expected an image such as registry.example.com/mue:0.1.0; {match['port']} is no port")
    tag = value.rpartition("/")[2]
    if ":" not in tag or tag.endswith(":latest"):
        raise ValueError("name a tag or a digest, not latest: every node and every retry must run the same code")
    return value


def check_absolute_path(value: str) -> str:
    """Return an absolute path of plain characters, without `.` and `..`."""
    if not _PATH.fullmatch(value) or {".", ".."} & set(value.split("/")):
        raise ValueError("expected an absolute path of letters, digits and ._+@%=:- such as /mnt/shared")
    return value


def check_mount_path(value: str) -> str:
    """Return an absolute path at which a volume hides nothing of a pod's, and nothing of a pod's lies in the volume."""
    check_absolute_path(value)
    if ":" in value:
        raise ValueError("Kubernetes takes no ':' in the path of a mount")
    for taken in POD_PATHS:
        if f"{value}/".startswith(f"{taken}/") or f"{taken}/".startswith(f"{value}/"):
            raise ValueError(f"pods have {taken} of their own; mount the volume elsewhere, as at /mnt/shared")
    if f"{HOME}/".startswith(f"{value}/"):
        raise ValueError(f"the volume would hide {HOME} of the image; mount it elsewhere, as at /mnt/shared")
    return value


def check_slurm_word(value: str) -> str:
    """Return a word that may stand behind an option in an #SBATCH line."""
    if not _WORD.fullmatch(value):
        raise ValueError("expected one word of letters, digits and _.,:+-")
    return value
