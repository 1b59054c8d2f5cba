from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.repeated_names import name_digest, repeated_names


@given(st.lists(st.text(max_size=3), max_size=60))
def test_exactly_the_names_that_occur_again(names: list[str]) -> None:
    again = {name for name in names if names.count(name) > 1}
    assert repeated_names(names) == {name_digest(name) for name in again}


def test_names_in_many_files_and_more_than_a_buffer() -> None:
    names = [f"{number}" for number in range(300_000)]
    assert repeated_names(names) == set()
    assert repeated_names([*names, "17", "299999", "17"]) == {name_digest("17"), name_digest("299999")}
