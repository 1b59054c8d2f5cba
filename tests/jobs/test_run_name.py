from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.names import check_name
from jobs.run_name import checked_run_name, run_name
from mue_model.config import ConfigError


@given(st.text(min_size=1))
def test_any_folder_gives_a_name_that_kubernetes_takes_with_room_for_an_attempt(output: str) -> None:
    name = run_name(output)
    assert check_name(f"{name}-99999", longest=47)
    assert checked_run_name(name) == name


def test_names_tell_folders_apart_and_stay() -> None:
    assert run_name("s3://a/captions") != run_name("s3://b/captions")
    assert run_name("s3://a/captions/") == run_name("s3://a/captions")
    assert run_name("s3://a/Captions 2024").startswith("captions-2024-")


@pytest.mark.parametrize("name", ["", "a b", "A", "1a", "a-", "a" * 41, "a\n"])
def test_names_of_ones_own_are_checked(name: str) -> None:
    with pytest.raises(ConfigError, match="--run"):
        checked_run_name(name)
