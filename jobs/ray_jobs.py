"""`JobsClient` over Ray's job server, found from any address that Ray understands."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import requests
from ray.exceptions import AuthenticationError, RayError
from ray.job_submission import JobSubmissionClient
from ray.util.state import list_nodes
from ray.util.state.exception import RayStateApiException

from jobs.jobs_client import (
    ADDRESS_VARIABLES,
    OUTPUT_LABEL,
    ClusterError,
    ClusterJob,
    ClusterRefused,
    ClusterSilent,
    SubmissionTaken,
    SubmissionUnknown,
)
from mue_model.brief import brief
from mue_model.config import ConfigError

_SCHEMES = ("http", "https", "ray")
"""Of any other Ray's client would import the module of that name."""
_NAMED = ("auto", "local")
_CHATTY = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
_STARTING_S = 60.0
_STATUS = re.compile(r"^Request failed with status code (\d{3})")
_TOKEN = "set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file with the cluster's token"


_QUERY = re.compile("[?#]")


class _NotReady(ClusterRefused):
    """The cluster's nodes have not all reported yet."""


class RayJobs:
    """A cluster's job server."""

    def __init__(self, address: str | None) -> None:
        """Connect to the cluster at `address`: the dashboard's URL, `host:port` of a head, or `auto`.

        Args:
            address: Left out: RAY_API_SERVER_ADDRESS, RAY_ADDRESS, else a Ray that runs on this machine.

        Raises:
            ConfigError: `address` cannot be one.
            ClusterError: Nothing answers there, or it wants another token.
        """
        if address is not None:
            _check_form(address)
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.ERROR)
        # Ray repeats the address that it was given; the environment's may hold a password as well.
        given = [address] if address is not None else [os.environ.get(name, "") for name in ADDRESS_VARIABLES]
        with _plainly(address_without_secrets(address or "the default address"), given=given), _only(address):
            self._client = JobSubmissionClient(address)
        self._url = self._client.get_address()

    @property
    def address(self) -> str:
        """URL of the job server, without user, password, query and fragment."""
        return address_without_secrets(self._url)

    def submit(self, *, submission_id: str, entrypoint: str, folder: Path, metadata: Mapping[str, str]) -> None:
        """Run `entrypoint` in a copy of `folder`; a cluster that has only just started is given a minute."""
        deadline = time.monotonic() + _STARTING_S
        while True:
            try:
                with _plainly(self.address, submission_id, given=[self._url]):
                    self._client.submit_job(
                        entrypoint=entrypoint,
                        submission_id=submission_id,
                        runtime_env={"working_dir": str(folder)},
                        metadata=dict(metadata),
                    )
                return
            except _NotReady:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)

    def job(self, submission_id: str) -> ClusterJob:
        """Return how the job stands."""
        with _plainly(self.address, submission_id, given=[self._url]):
            found = self._client.get_job_info(submission_id)
        return ClusterJob(
            phase=found.status.value,
            exit_code=found.driver_exit_code,
            message=found.message or "",
            output=(found.metadata or {}).get(OUTPUT_LABEL),
        )

    def logs(self, submission_id: str) -> str:
        """Return what the driver has written so far."""
        with _plainly(self.address, submission_id, given=[self._url]):
            return str(self._client.get_job_logs(submission_id))

    def follow(self, submission_id: str) -> Iterator[str]:
        """Yield what the driver writes until it ends."""
        lines = self._client.tail_job_logs(submission_id)

        async def following() -> str | None:
            return await anext(lines, None)

        # A runner, for it also closes the connection where Ctrl-C or the reader's end comes in between.
        with asyncio.Runner() as runner:
            while True:
                with _plainly(self.address, submission_id, given=[self._url]):
                    text = runner.run(following())
                if text is None:
                    return
                yield text

    def stop(self, submission_id: str) -> bool:
        """End the driver: SIGTERM, and seconds later SIGKILL."""
        with _plainly(self.address, submission_id, given=[self._url]):
            return bool(self._client.stop_job(submission_id))

    def node_addresses(self) -> frozenset[str]:
        """Return the IP addresses of the living nodes; none where the cluster does not tell."""
        try:
            with _plainly(self.address, given=[self._url]):
                nodes = list_nodes(address=self._url, limit=10_000)
        except ClusterError:
            return frozenset()
        return frozenset(str(node.node_ip) for node in nodes if node.state == "ALIVE")


def address_without_secrets(address: str) -> str:
    """Return an address, however misspelled, as messages may show it: no user, no password, no query, no fragment."""
    scheme, separator, rest = address.partition("://") if "://" in address else ("", "", address)
    place = _QUERY.split(rest, maxsplit=1)[0]
    if "@" in rest[len(place) :]:
        place = "..."  # of a password with a question mark, or of the query: nobody can tell
    # The last `@`: a password may have a slash.
    return scheme.rpartition("@")[2] + separator + place.rpartition("@")[2]


def _secrets_in(address: str) -> list[str]:
    """Return what `address_without_secrets` leaves out, as Ray's client may repeat it."""
    scheme, _, rest = address.partition("://") if "://" in address else ("", "", address)
    user, at, after = rest.rpartition("@")
    query = after[len(_QUERY.split(after, maxsplit=1)[0]) :]
    # Where nobody can tell a password from a query, the whole of it comes first.
    whole = rest.rstrip("/") if _QUERY.search(user) else ""
    odd = "".join(scheme.rpartition("@")[:2])
    return [part for part in (odd, whole, user + at, query) if part]


def _check_form(address: str) -> None:
    """Refuse what Ray would import a module for, or wait a minute for."""
    scheme, separator, _ = address.partition("://")
    try:
        parts = urlsplit(address if separator else f"//{address}")
        known = bool(parts.hostname) and (scheme in _SCHEMES if separator else parts.port is not None)
        known = known and parts.port != 0
    except ValueError:  # no port has this number
        known = False
    if not known and address not in _NAMED:
        raise ConfigError(
            f"--address {brief(address_without_secrets(address))}: expected the dashboard's URL such as "
            "http://127.0.0.1:8265, HOST:PORT of a cluster's head, or auto"
        )


@contextmanager
def _only(address: str | None) -> Iterator[None]:
    """Let an address that was given count: the client would prefer the environment's."""
    hidden = {} if address is None else {name: os.environ.pop(name) for name in ADDRESS_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _plainly(address: str, submission_id: str = "", *, given: Sequence[str]) -> Iterator[None]:
    """Say in plain words what the client raises, without what the addresses as they were `given` hold of secrets."""
    try:
        with _in_plain_words(address, submission_id):
            yield
    except ClusterError as error:
        secrets = [secret for whole in given for secret in _secrets_in(whole)]
        if not secrets:
            raise
        text = str(error)
        for secret in secrets:
            text = text.replace(secret, "")
        # What the client raised would be shown with -v.
        raise type(error)(text) from None


@contextmanager
def _in_plain_words(address: str, submission_id: str) -> Iterator[None]:
    try:
        yield
    except AuthenticationError as error:
        raise ClusterRefused(f"{address} wants a token, and was given none or another one; {_TOKEN}") from error
    except (ConnectionError, requests.RequestException, RayStateApiException, RayError) as error:
        hint = "" if "://" in address or ":" not in address else f" Of a dashboard say http://{address}"
        raise ClusterSilent(
            f"no Ray answers at {address}; is it running, and its dashboard reachable?{hint}"
        ) from error
    except RuntimeError as error:
        text = str(error)
        if "already exists" in text or "already been used" in text:
            raise SubmissionTaken(f"{address} has had a job {submission_id}; give another name with --run") from error
        status = int(match[1]) if (match := _STATUS.search(text)) else None
        if submission_id and ("does not exist" in text or status == HTTPStatus.NOT_FOUND):
            raise SubmissionUnknown(f"{address} knows no job {submission_id}") from error
        if "No available agent" in text:
            raise _NotReady(
                f"{address} has no node that could run the job's driver: it has only just started, or another Ray on "
                "the head's machine has its agent's port (ray start --dashboard-agent-listen-port)"
            ) from error
        if "WebSocket" in text:
            raise ClusterSilent(f"{address} stopped answering while it was read") from error
        # Behind a proxy a cluster that is on its way up or down answers with 5xx, perhaps to what it has done.
        kind = ClusterRefused if status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR else ClusterError
        raise kind(f"{address}: {' '.join(text.split())[:500]}") from error
    except ValueError as error:
        raise ClusterError(f"{address}: {error}") from error
