"""Where the token may go unasked: to clusters that this user named, not to those that an output folder names."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jobs.trusted_clusters import trust_cluster, trusted_address
from mue_model.config import ConfigError

CLUSTER = "http://cluster.example:8265"


def test_a_cluster_is_trusted_once_a_job_was_handed_to_it(state_home: Path) -> None:
    with pytest.raises(ConfigError, match=rf"the record names .*{CLUSTER}.*--address {CLUSTER}"):
        trusted_address(CLUSTER, where="the record")
    for _ in range(2):
        trust_cluster(CLUSTER)
    trust_cluster("http://other.example:1\nhttp://hidden.example:1")
    assert trusted_address(CLUSTER, where="") == CLUSTER
    file = state_home / "mue" / "clusters"
    assert file.read_text() == f"{CLUSTER}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for near in ("http://cluster.example:8266", "https://cluster.example:8265", f"{CLUSTER}@evil.example", "http://c"):
        with pytest.raises(ConfigError):
            trusted_address(near, where="")


@pytest.mark.parametrize("variable", ["RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"])
def test_so_is_the_one_that_the_environment_names(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, f"{CLUSTER}/")
    assert trusted_address(CLUSTER, where="") == CLUSTER
    with pytest.raises(ConfigError):
        trusted_address("http://evil.example:8265", where="")


def test_and_where_ray_goes_by_itself_but_no_other_port_of_this_machine() -> None:
    assert trusted_address("http://127.0.0.1:8265", where="")
    with pytest.raises(ConfigError):
        trusted_address("http://127.0.0.1:8266", where="")


def test_a_list_that_cannot_be_written_stops_no_job(state_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (state_home / "mue").write_text("in the way")
    trust_cluster(CLUSTER)
    assert "later commands need --address" in caplog.text
    with pytest.raises(ConfigError):
        trusted_address(CLUSTER, where="")
