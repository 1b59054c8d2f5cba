"""Every image gives at least one query; a text that is none fails alone, with what was found in its place."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mue_model.model_folder import ModelFolderError
from mue_model.model_names import model_facts
from mue_model.queries import make_query
from pipeline.blocks import IMAGE_BYTES
from pipeline.records import QUERY
from pipeline.row_field import RowField
from pipeline.row_queries import OnePrompt, OwnTexts

FACTS = model_facts("seeded")
FIELD = "json:ve[*].hypothesis"


def own_texts(field: str = FIELD, **changes: Any) -> OwnTexts:
    settings: dict[str, Any] = {
        "task": "entailment",
        "field": RowField.parse(field),
        "model": FACTS.name,
        "digest": FACTS.digest,
        "max_queries": 10,
        "answer_bytes": 256,
    }
    return OwnTexts(**{**settings, **changes})


def ask(queries: OnePrompt | OwnTexts, **members: Any) -> list[dict[str, Any]]:
    """The queries as they are in a decoded table."""
    image = {"key": "k", "shard_uri": "a.tar", "meta_json": json.dumps(members)}
    return pa.array([queries.of(image)], pa.list_(QUERY)).to_pylist()[0]


def test_one_prompt_asks_the_same_of_every_image() -> None:
    [query] = ask(OnePrompt(prompt=" what?", prompt_ids=(0, 5, 2)), json={"ve": []})
    assert (query["query"], query["prompt"], query["prompt_ids"]) == (0, " what?", [0, 5, 2])
    assert (query["status"], query["candidates"]) == ("ok", [])


def test_each_entry_of_a_list_is_a_query_with_a_number() -> None:
    found = ask(own_texts(), json={"ve": [{"hypothesis": text} for text in ("A dog.", "two cats")]})
    assert [query["query"] for query in found] == [0, 1]
    for query, text in zip(found, ("A dog.", "two cats"), strict=True):
        expected = make_query("entailment", text, FACTS.processor.tokenizer, longest=1024)
        assert (query["prompt"], tuple(query["prompt_ids"])) == (expected.prompt, expected.prompt_ids)
        assert [(c["label"], tuple(c["ids"])) for c in query["candidates"]] == [
            (candidate.label, candidate.ids) for candidate in expected.candidates
        ]
        assert (query["status"], query["error_code"]) == ("ok", None)


def test_a_text_that_is_none_fails_alone() -> None:
    entries = [{"hypothesis": "a dog"}, {"hypothesis": 7}, {"hypothesis": "?"}, {"h": "x"}, "x"]
    entries += [{"hypothesis": "dog " * 1024}, {"hypothesis": "a cat"}]
    found = ask(own_texts(), json={"ve": entries})
    codes = [query["error_code"] for query in found]
    assert codes == [None, "bad_field", "bad_field", "bad_field", "bad_field", "prompt_too_long", None]
    assert [query["query"] for query in found] == list(range(7))
    for query in found[1:6]:
        assert (query["status"], query["error_stage"]) == ("failed", "preprocess")
        assert query["error_message"].startswith(FIELD)
    assert "no text but 7" in found[1]["error_message"]
    assert "ve[3] has no 'hypothesis', only h" in found[3]["error_message"]
    assert found[5]["prompt"].startswith(' does the image describe " dog dog')


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"txt": "a"}, "the row has no member 'json', only txt"),
        ({"json": "{cut off"}, "a text, or JSON that is broken"),
        ({"json": {"ve": "a dog"}}, "ve is a text, not a list"),
        ({"json": {"ve": None}}, "ve is null, not a list"),
        ({"json": {"omitted_bytes": 70000}}, "too large to come along: 70,000 bytes"),
        ({}, "the row has no member 'json'"),
    ],
)
def test_a_broken_member_is_one_failed_query(members: dict[str, Any], said: str) -> None:
    [query] = ask(own_texts(), **members)
    assert (query["query"], query["status"], query["error_code"]) == (0, "failed", "bad_field")
    assert said in query["error_message"]


def test_a_list_where_a_text_should_be_is_no_list_of_queries() -> None:
    [query] = ask(own_texts("json:ve"), json={"ve": ["a", "b"]})
    assert (query["error_code"], "no text but ['a', 'b']" in query["error_message"]) == ("bad_field", True)


def test_an_empty_list_is_filtered_and_said() -> None:
    [query] = ask(own_texts(), json={"ve": []})
    assert (query["query"], query["status"], query["error_code"]) == (0, "filtered", None)
    assert query["error_message"] == f"{FIELD}: an empty list, so nothing is asked about this image"


def test_too_many_queries_are_one_failed_query() -> None:
    entries = [{"hypothesis": "a dog"}] * 11
    assert len(ask(own_texts(), json={"ve": entries[:10]})) == 10
    [query] = ask(own_texts(), json={"ve": entries})
    assert (query["query"], query["error_code"]) == (0, "bad_field")
    assert query["error_message"] == f"{FIELD}: 11 queries about one image; inputs.max_queries = 10"


def test_an_image_s_rows_have_room_in_one_block() -> None:
    queries = own_texts(max_queries=2000)
    image = {"key": "k" * 4000, "shard_uri": "a.tar", "meta_json": json.dumps({"json": {"ve": [{"x": 1}] * 1500}})}
    [query] = queries.of(image)
    assert "1,500 queries about one image; 1,34" in query["error_message"]
    assert 1500 * 4000 < IMAGE_BYTES < 1500 * 5456


def test_the_settings_travel_small_and_find_the_planned_model_alone() -> None:
    queries = own_texts()
    assert pickle.loads(pickle.dumps(queries)) == queries
    assert len(pickle.dumps(queries)) < 1000
    with pytest.raises(ModelFolderError, match="the plan says 0000"):
        ask(own_texts(digest="0000"), json={"ve": [{"hypothesis": "a"}]})


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["ve", "hypothesis"]), inner, max_size=2)
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(JSON)
def test_any_document_gives_queries_numbered_from_0(document: Any) -> None:
    found = ask(own_texts(), json=document)
    assert [query["query"] for query in found] == list(range(len(found)))
    assert found
    for query in found:
        assert (query["status"] == "ok") == (query["prompt_ids"] is not None)
        assert (query["status"] == "ok") == (query["error_message"] is None)
