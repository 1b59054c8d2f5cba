from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.evaluation_rows import MAX_GROUPS, Depths, Tally
from jobs.references import open_references
from mue_model.config import ConfigError
from mue_model.metrics.tokenisation import tokenise
from pipeline.row_field import RowField


def tally(references: str = "json:captions", by: str | None = None) -> Tally:
    field = RowField.parse(by, option="--by") if by else None
    return Tally(open_references(references, ()), field, tokenise)


def row(job: Any, number: int, level: Any = 1, **changes: Any) -> dict[str, Any]:
    meta = json.dumps({"json": {"captions": [f"a picture of {number}"], "level": level}})
    return {**job.row("000000-a", number), "meta_json": meta, **changes}


def test_depths_are_means_over_rows_and_over_decoding_steps() -> None:
    depths = Depths()
    depths.add({"image_layers_run": 2, "text_layers_run": None, "decoder_layers_run": [4]})
    depths.add({"image_layers_run": 3, "text_layers_run": None, "decoder_layers_run": [1, 1, 2]})
    assert depths.rows == 2
    assert depths.mean("image_layers_run") == 2.5
    assert depths.mean("text_layers_run") is None
    assert depths.mean("decoder_layers_run") == 2.0


def test_groups_are_in_order_of_their_values(job: Any) -> None:
    found = tally(by="json:level")
    for number, level in enumerate([10, 9, "hard", None, 9, True]):
        found.add(row(job, number, level))
    found.add(row(job, 6, meta_json='{"json": {"captions": ["x"]}}'))
    assert [group.name for group in found.groups()] == ["9", "10", "(none)", "hard", "null", "true"]
    assert [group.depths.rows for group in found.groups()] == [2, 1, 1, 1, 1, 1]


def test_a_field_with_a_value_of_its_own_for_every_row_is_no_group(job: Any) -> None:
    found = tally(by="json:level")
    for number in range(MAX_GROUPS):
        found.add(row(job, number, number))
    with pytest.raises(ConfigError, match="more than 1,000 different values; choose a field that has few"):
        found.add(row(job, MAX_GROUPS, MAX_GROUPS))
    found.add(row(job, MAX_GROUPS, 0))


def test_a_field_that_no_row_has_is_an_error(job: Any) -> None:
    found = tally(by="json:lvel")
    found.add(row(job, 0))
    with pytest.raises(ConfigError, match=r"--by 'json:lvel': no row has that field. Fields: .*json:level = 1"):
        found.results("out")


def test_answers_to_other_tasks_are_not_scored_as_captions(job: Any) -> None:
    with pytest.raises(ConfigError, match="is of task 'vqa'; only captions have references"):
        tally().add(row(job, 0, task="vqa"))


def test_a_row_without_members_or_text_is_counted(job: Any) -> None:
    found = tally()
    found.add(row(job, 0))
    found.add(row(job, 1, text=None))
    found.add(row(job, 2, meta_json=None))
    scores, health = found.results("out")
    assert (scores.rows, health.captions, health.empty) == (2, 3, 1)
    assert found.rows["without_references"] == 1
