"""Which clusters may be sent this user's token without being named on the command line.

Ray's client sends the token with its first request, and whoever has it has a shell on every node. The address in a
`submissions/` record is whatever the last writer of the output folder wrote: it counts only where this user has been.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from jobs.jobs_client import ADDRESS_VARIABLES
from mue_model.config import ConfigError

logger = logging.getLogger(__name__)

_RAYS_OWN = ("http://127.0.0.1:8265", "http://localhost:8265")
"""Where Ray's client goes if nothing names a cluster."""


def trust_cluster(address: str) -> None:
    """Note, for this user on this machine, that they handed a job to the cluster at `address`."""
    if "\n" in address or address in _trusted():
        return
    try:
        path = _path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as file:
            file.write(f"{address}\n")
    except (OSError, RuntimeError) as error:
        logger.warning("%s is not remembered (%s): later commands need --address", address, error)


def trusted_address(recorded: str, *, where: str) -> str:
    """Return the address that a record in an output folder names, if this user named it before.

    Args:
        recorded: The address.
        where: The record, for the message.

    Raises:
        ConfigError: It is no cluster that the environment names or that this user handed a job to.
    """
    if recorded.rstrip("/") not in _trusted():
        raise ConfigError(
            f"{where} names the cluster at {recorded}, to which you handed no job from this machine: whoever can write "
            "the output folder can write that, and would be sent your token. If it is the right one, add "
            f"--address {recorded}"
        )
    return recorded


def _trusted() -> set[str]:
    named = (os.environ.get(name, "").rstrip("/") for name in ADDRESS_VARIABLES)
    try:
        noted = _path().read_text("utf-8", "replace").split("\n")
    except (OSError, RuntimeError):
        noted = []
    return {address for address in (*_RAYS_OWN, *named, *noted) if address}


def _path() -> Path:
    """Of the list, by the XDG rules: state of a user, on one machine."""
    given = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
    return folder / "mue" / "clusters"
