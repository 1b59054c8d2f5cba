from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.evaluation import Evaluation, evaluate
from jobs.references import open_references
from mue_model.config import ConfigError
from mue_model.metrics.captions import CaptionScorer
from mue_model.metrics.tokenisation import pre_tokenised, tokenise
from pipeline.receipts import LedgerError
from pipeline.row_field import RowField

SHARDS = ("000000-a", "000001-b")
CAPTIONS = ["A red cat sits.", "two dogs run", "a bird", ""]


def meta(number: int) -> str:
    texts = [f"A cat, number {number}, sits.", CAPTIONS[number].upper(), "two dogs run on grass"]
    return json.dumps({"txt": f"line one {number}\nline two", "json": {"captions": texts, "level": 1 + number % 2}})


@pytest.fixture
def captioned(job: Any) -> Any:
    """Two shards of five rows with references; the last row of the first failed, one of the second has none."""
    rows = [
        job.row(
            SHARDS[0], n, text=CAPTIONS[n], meta_json=meta(n), image_layers_run=1 + n % 2, decoder_layers_run=[n, 4]
        )
        for n in range(4)
    ]
    job.commit("a1-0-0", *rows, job.failed_row(SHARDS[0], 4), job.end(SHARDS[0], 5))
    others = [
        job.row(SHARDS[1], n, key=f"b-{n}", text=CAPTIONS[n], meta_json=meta(n), finish_reason="length")
        for n in range(4)
    ]
    bare = job.row(SHARDS[1], 4, key="key-0", text="a cat", meta_json='{"json": {"captions": [" "]}}')
    job.commit("a1-1-0", *others, bare, job.end(SHARDS[1], 5))
    job.finish()
    return job


def run(job: Any, references: str = "json:captions", *, by: str | None = None, **options: Any) -> Evaluation:
    field = RowField.parse(by, option="--by") if by else None
    return evaluate(job.ledger, partial(open_references, references), by=field, **options)


def test_every_row_is_in_exactly_one_count(captioned: Any) -> None:
    found = run(captioned)
    assert found.rows == {"scored": 8, "without_references": 1, "ambiguous_key": 0, "failed": 1, "filtered": 0}
    assert sum(found.rows.values()) == 10
    assert found.rows_with_repeated_key == 2
    assert found.references_scored == 2 * (3 * 3 + 2)


def test_scores_are_those_of_the_words_of_all_shards_together(captioned: Any) -> None:
    scorer = CaptionScorer()
    for _ in SHARDS:
        for number in range(4):
            texts = [text for text in json.loads(meta(number))["json"]["captions"] if text]
            scorer.add(tokenise(CAPTIONS[number]), [tokenise(text) for text in texts])
    found = run(captioned)
    assert found.scores == scorer.scores()
    assert found.scores.exact_match == 6 / 8
    assert found.health.captions == 9
    assert (found.health.empty, found.health.truncated, found.health.repeating) == (2, 4, 0)


def test_text_can_be_taken_as_it_is(captioned: Any) -> None:
    raw, words = run(captioned, tokeniser=pre_tokenised), run(captioned)
    assert (raw.tokeniser, words.tokeniser) == ("pre_tokenised", "tokenise")
    assert (raw.scores.exact_match, words.scores.exact_match) == (0.0, 6 / 8)
    assert raw.references_sha256 == words.references_sha256


def test_depth_stands_beside_difficulty(captioned: Any) -> None:
    easy, hard, rest = run(captioned, by="json:level").groups
    assert (easy.name, hard.name, rest.name) == ("1", "2", "(none)")
    assert (easy.depths.rows, hard.depths.rows, rest.depths.rows) == (4, 4, 1)
    assert easy.depths.mean("image_layers_run") == (1 + 1 + 2 + 2) / 4
    assert hard.depths.mean("image_layers_run") == 2.0
    assert easy.depths.mean("decoder_layers_run") == (0 + 4 + 2 + 4 + 6 + 6) / 10
    assert easy.scores is not None
    assert hard.scores is not None
    assert easy.scores.rows == hard.scores.rows == 4
    assert rest.scores is None
    whole = run(captioned).scores
    assert (easy.scores.cider_d + hard.scores.cider_d) / 2 == pytest.approx(whole.cider_d)


def test_other_fields_hold_references_too(captioned: Any) -> None:
    found = run(captioned, "txt")
    assert (found.rows["scored"], found.references_scored) == (8, 16)
    assert found.references_sha256 != run(captioned).references_sha256


def test_a_file_names_rows_by_key_only_where_the_key_is_of_one_image(captioned: Any, tmp_path: Path) -> None:
    lines = [{"key": key, "references": ["a cat"]} for key in ("key-0", "key-1", "nobody")]
    lines.append({"uid": "000001-b/0/0", "references": ["a red cat sits"]})
    path = tmp_path / "refs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = run(captioned, str(path))
    assert found.rows == {"scored": 2, "without_references": 5, "ambiguous_key": 2, "failed": 1, "filtered": 0}
    assert found.references["names_without_row"] == 1
    assert found.scores.exact_match == 1 / 2
    path.write_text(json.dumps(lines[0]))
    with pytest.raises(ConfigError, match=r"each belong to several images.*name rows by uid"):
        run(captioned, str(path))


def test_queries_of_one_image_share_its_key_rightly(job: Any) -> None:
    first = job.row(SHARDS[0], 0, meta_json=meta(0))
    second = {**first, "uid": f"{SHARDS[0]}/0/1", "query": 1}
    job.commit("a1-0-0", first, second)
    found = run(job)
    assert (found.rows["scored"], found.rows_with_repeated_key) == (2, 0)


def test_the_job_and_the_references_are_named_by_digest(captioned: Any, make_job: Callable[..., Any]) -> None:
    found = run(captioned)
    assert found.fingerprint == captioned.plan.fingerprint
    assert found.manifest_sha256 is not None
    assert len(found.manifest_sha256) == len(found.references_sha256) == 64
    # The same rows in other parts, read in the opposite order.
    other = make_job("other")
    places = [(shard_id, number) for shard_id in SHARDS for number in range(4)]
    for part, (shard_id, number) in enumerate(reversed(places)):
        other.commit(f"a1-{part}", other.row(shard_id, number, text="other", meta_json=meta(number)))
    assert run(other).references_sha256 == found.references_sha256
    assert run(other).manifest_sha256 is None


def test_no_references_at_all_says_what_was_looked_for_and_what_there_is(captioned: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        run(captioned, "json:captoins")
    for said in ("9 rows", "at 'json:captoins'", "json:captions = [3 texts]", "txt = ", "--references FILE.jsonl"):
        assert said in str(error.value)
    path = tmp_path / "refs.jsonl"
    path.write_text('{"key": "elsewhere/1", "references": ["a"]}\n')
    with pytest.raises(ConfigError, match=r"0 uids and 1 keys of .*the first is 'elsewhere/1'"):
        run(captioned, str(path))


def test_a_job_without_a_caption_is_an_error_that_says_what_it_has(job: Any) -> None:
    with pytest.raises(ConfigError, match="no row with a caption yet \\(nothing is committed\\)"):
        run(job)
    job.commit("a1-0-0", job.failed_row(SHARDS[0], 0))
    with pytest.raises(ConfigError, match="no row with a caption yet \\(1 failed\\)"):
        run(job)


def test_rows_committed_twice_are_not_scored_twice(job: Any) -> None:
    for name in ("a1-0-0", "a2-0-0"):
        job.commit(name, job.row(SHARDS[0], 0, meta_json=meta(0)))
    with pytest.raises(LedgerError, match="some rows are committed twice"):
        run(job)


def test_bad_shards_are_counted(job: Any) -> None:
    job.commit("a1-0-0", job.row(SHARDS[0], 0, meta_json=meta(0)))
    job.commit_bad_shard(SHARDS[1])
    assert run(job).shards_bad == 1
