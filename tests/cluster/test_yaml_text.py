from __future__ import annotations

import re

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


GO_NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?0[box][0-9a-fA-F_]+|[-+]?\.(inf|nan)", re.I
)
"""What yaml.v2 and YAML 1.2 take for a number."""
GO_WORD = re.compile(r"y|n|yes|no|on|off|true|false|null|~|", re.I)


def test_no_other_reader_makes_numbers_or_truth_values_of_text() -> None:
    """`kubectl` reads manifests by a library of Go, which goes beyond what Python's takes for a number."""
    texts = [
        "1e3",
        "12e5",
        "1.5E3",
        "0o17",
        "0x10",
        "0b1",
        "010",
        "1_000",
        "12:30:45",
        "+1",
        ".5",
        ".inf",
        ".NaN",
        "2.60.0",
    ]
    texts += ["y", "Y", "n", "N", "yes", "on", "Off", "null", "~", "", "=", "<<", "-", "2026-01-01", "8Gi"]
    written = yaml_text([{text: text for text in texts}])
    plain = [token.value for token in yaml.scan(written) if isinstance(token, yaml.ScalarToken) and token.plain]
    assert [text for text in plain if GO_NUMBER.fullmatch(text) or GO_WORD.fullmatch(text)] == []
    assert yaml.safe_load(written) == {text: text for text in texts}
