"""Names and rows against the webdataset library."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from webdataset.tariterators import base_plus_ext, group_by_keys

from pipeline.row_grouping import RowGrouping, split_name

# A line break inside a folder's name is left out: the library then drops the file.
names = st.text(st.sampled_from("aB._/ü"), max_size=12)


@given(names)
def test_names_split_as_webdataset_splits_them(name: str) -> None:
    key, suffix = base_plus_ext(name)
    is_meta = name.startswith("__") and split_name(name) is None
    if not is_meta:
        assert split_name(name) == (None if key is None else (key, suffix.lower()))


def test_names_of_every_kind() -> None:
    assert split_name("a/b.c/d.e.JPG") == ("a/b.c/d", "e.jpg")
    assert split_name("a.") == ("a", "")
    assert split_name("a/.jpg") == ("a/", "jpg")
    assert split_name("__a__b.jpg") == ("__a__b", "jpg")
    for no_row in ("", "README", "a/b", ".jpg", "a.b/.jpg", "__meta__", "__meta__/a.jpg", "a.jpg/"):
        assert split_name(no_row) is None, no_row


def rows_of(names: list[str]) -> list[list[str]]:
    grouping = RowGrouping()
    rows: list[list[str]] = []
    for name in names:
        parts = split_name(name)
        if parts is not None:
            if grouping.begins_row(*parts):
                rows.append([])
            rows[-1].append(name)
    return rows


@given(st.lists(st.sampled_from(["a", "b", "d/a"]), max_size=12))
def test_runs_of_equal_keys_are_rows_as_in_webdataset(keys: list[str]) -> None:
    files = [f"{key}.{number}" for number, key in enumerate(keys)]
    samples = group_by_keys({"fname": name, "data": name, "__url__": ""} for name in files)
    ours = rows_of(files)
    assert ours == [[value for suffix, value in sample.items() if suffix[0] != "_"] for sample in samples]


def test_a_repeated_suffix_begins_a_row() -> None:
    assert rows_of(["a.jpg", "a.txt", "a.JPG", "a.txt"]) == [["a.jpg", "a.txt"], ["a.JPG", "a.txt"]]
