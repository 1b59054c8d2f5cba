from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from jobs.references import (
    DEFAULT,
    AmbiguousKey,
    FieldReferences,
    FileReferences,
    open_references,
    planned_references,
)
from mue_model.config import ConfigError
from pipeline.spec import FieldsConfig


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(*lines: Any) -> str:
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n"
        (tmp_path / "refs.jsonl").write_text(text)
        return str(tmp_path / "refs.jsonl")

    return write


def test_a_field_or_a_file_by_its_name(written: Any) -> None:
    assert isinstance(open_references("txt", ()), FieldReferences)
    assert isinstance(open_references(written({"key": "k", "references": "a"}), ()), FileReferences)
    assert open_references("json:captions", ()).of("u", "k", {"json": {"captions": ["a b"]}}) == ["a b"]


def test_the_first_of_several_fields_that_has_texts() -> None:
    references = open_references(DEFAULT, ())
    assert references.of("u", "k", {"json": {"captions": ["a"], "references": ["b", "c"]}}) == ["b", "c"]
    assert references.of("v", "k", {"json": {"captions": ["a"], "references": []}}) == ["a"]
    assert references.of("w", "k", {"json": {}}) == ()
    assert references.facts() == {"source": DEFAULT, "rows_by_field": {"json:references": 1, "json:captions": 1}}
    assert "at 'json:references' or 'json:captions'" in references.missing()


def test_a_job_says_where_its_references_are_and_each_prompt_has_its_own(make_job: Any) -> None:
    members = {"json": {"captions": ["a"], "asked": [{"p": "x", "refs": ["b", "c"]}, {"p": "y", "refs": "d"}]}}
    plain = planned_references(make_job("plain").plan, ())
    assert plain.of("u", "k", members) == ["a"]
    told = planned_references(make_job("told", fields=FieldsConfig(references="json:asked[0].refs")).plan, ())
    assert told.of("u", "k", members) == ["b", "c"]
    fields = FieldsConfig(prompt="json:asked[*].p", references="json:asked[*].refs")
    own = planned_references(make_job("own", fields=fields).plan, ())
    assert own.of("000000-a/0/0", "k", members) == ["b", "c"]
    assert own.of("000000-a/0/1", "k", members) == ["d"]
    assert own.of("000000-a/0/2", "k", members) == []
    assert own.facts() == {"source": "json:asked[*].refs", "rows_by_field": {"json:asked[*].refs": 2}}
    assert "at 'json:asked[*].refs'" in own.missing()


def test_lines_are_found_by_uid_before_key_and_add_up(written: Any) -> None:
    references = FileReferences(
        written(
            {"key": "k", "references": ["one"]},
            "",
            {"key": "k", "references": "two"},
            {"uid": "s/0/0", "references": ["three", " "]},
        ),
        (),
    )
    assert references.of("s/1/0", "k", {}) == ["one", "two"]
    assert references.of("s/0/0", "k", {}) == ["three"]
    assert references.of("s/2/0", "other", {}) == references.of("s/2/0", None, {}) == ()


def test_a_key_of_several_images_is_no_name(written: Any) -> None:
    path = written({"key": "k", "references": ["one"]}, {"uid": "s/0/0", "references": ["two"]})
    references = FileReferences(path, {"k"})
    assert references.of("s/0/0", "k", {}) == ["two"]
    with pytest.raises(AmbiguousKey):
        references.of("s/1/0", "k", {})


def test_the_file_is_accounted_for(written: Any) -> None:
    path = written(
        {"key": "k", "references": ["one"]}, {"key": "k", "references": ["two"]}, {"uid": "u", "references": []}
    )
    references = FileReferences(path, ())
    references.of("s/0/0", "k", {})
    assert references.facts() == {
        "source": path,
        "file_sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        "lines": 3,
        "names": 2,
        "names_without_row": 1,
    }
    assert "1 uids and 1 keys" in references.missing()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ({"key": "k", "captions": ["a"]}, "'captions': unknown key"),
        ({"key": "k", "refrences": ["a"]}, "did you mean 'references'?"),
        ({"key": "k"}, "'references' must be a text or a list of texts"),
        ({"key": "k", "references": [1]}, "'references' must be a text or a list of texts"),
        ({"key": 7, "references": ["a"]}, "needs a 'uid' or a 'key', a text"),
        ({"references": ["a"]}, "needs a 'uid' or a 'key'"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(written: Any, line: Any, said: str) -> None:
    path = written({"key": "good", "references": ["a"]}, line)
    with pytest.raises(ConfigError) as error:
        open_references(path, ())
    assert f"{path}, line 2: " in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(("name", "said"), [("absent.jsonl", "cannot be read"), ("refs.json", "named *.jsonl")])
def test_what_is_no_file_of_references_is_said(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        open_references(str(tmp_path / name), ())
    assert said in str(error.value)
