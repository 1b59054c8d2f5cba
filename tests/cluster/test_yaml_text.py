from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.yaml_text import yaml_text

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(), values, min_size=1, max_size=3), max_size=3))
def test_text_loads_to_the_same_values(documents: list[dict[str, object]]) -> None:
    assert list(yaml.safe_load_all(yaml_text(documents))) == documents


def test_shared_values_get_no_anchors() -> None:
    shared = {"a": "b"}
    assert "&" not in yaml_text([{"x": shared, "y": shared}])
    assert "|\n" in yaml_text([{"x": "two\nlines\n"}]), "a job's file stays readable"
