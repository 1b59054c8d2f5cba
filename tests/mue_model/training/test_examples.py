from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mue_model.config import GenerationConfig
from mue_model.processor import Processor
from mue_model.prompts import entailment_prompt
from mue_model.tokenizer import BOS, EOS, Tokenizer
from mue_model.training.examples import Example, caption_ids, entailment_ids, fitting_generation, load_examples
from mue_model.training.settings import TrainingError

WriteShard = Callable[..., Path]
HYPOTHESIS = {"hypothesis": "it is red", "label": "entailment"}


def test_rows_become_examples_in_the_order_of_the_shards(
    write_shard: WriteShard, processor: Processor, red_jpg: bytes
) -> None:
    write_shard([{"jpg": red_jpg, "json": {"captions": ["b"]}}], name="00001.tar")
    facts = {"captions": ["a red picture", "red"], "ve": [HYPOTHESIS], "level": 4}
    found = load_examples(write_shard([{"jpg": red_jpg, "json": facts}]), processor)
    assert [example.captions for example in found] == [("a red picture", "red"), ("b",)]
    assert [example.level for example in found] == [4, 0]
    assert found[0].hypotheses == (("it is red", "entailment"),)
    assert found[1].hypotheses == ()
    assert found[0].pixels.shape == (32, 32, 3)
    assert found[0].pixels.mean(axis=(0, 1)).round(-1).tolist() == [250, 0, 0]


def test_captions_may_be_called_references(write_shard: WriteShard, processor: Processor, red_jpg: bytes) -> None:
    folder = write_shard([{"jpg": red_jpg, "json": {"references": ["a red picture"]}}])
    assert load_examples(folder, processor)[0].captions == ("a red picture",)


def test_a_limit_takes_the_first_rows(write_shard: WriteShard, processor: Processor, red_jpg: bytes) -> None:
    rows = [{"jpg": red_jpg, "json": {"captions": [str(number)]}} for number in range(3)]
    for name in ("00000.tar", "00001.tar"):
        folder = write_shard(rows, name=name)
    found = load_examples(folder, processor, limit=4)
    assert [example.captions[0] for example in found] == ["0", "1", "2", "0"]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({}, "no 'captions'"),
        ({"captions": []}, "no 'captions'"),
        ({"captions": "a"}, "no 'captions'"),
        ({"captions": ["a", " "]}, "caption ' ' is no text"),
        ({"captions": ["a"], "level": "hard"}, "level is 'hard'"),
        ({"captions": ["a"], "ve": [{"hypothesis": "b", "label": "true"}]}, "label 'true' of 'b'.*entailment, neutral"),
        ({"captions": ["a"], "ve": [{"label": "neutral"}]}, "no hypothesis"),
        ({"captions": ["a"], "ve": {}}, "'ve' is no list"),
        ({"captions": ["red " * 50]}, "caption 'red .*needs 51 positions, the model has 40"),
        ({"captions": ["a"], "ve": [HYPOTHESIS | {"hypothesis": "red " * 50}]}, "hypothesis 'red .*the model has 40"),
        ([], "no object"),
        (b"{", "Expecting"),
    ],
)
def test_what_cannot_be_trained_on_is_an_error_that_names_the_row(
    write_shard: WriteShard, processor: Processor, red_jpg: bytes, facts: Any, message: str
) -> None:
    good = {"jpg": red_jpg, "json": {"captions": ["a"]}}
    folder = write_shard([good, {"jpg": red_jpg, "json": facts}])
    with pytest.raises(TrainingError, match=rf"(?s)00000\.tar: row 'row1': .*{message}"):
        load_examples(folder, processor, longest=40)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"jpg": b"no image", "json": {"captions": ["a"]}}, "row 'row0': "),
        ({"json": {"captions": ["a"]}}, "0 images"),
        ({"jpg": b"", "png": b"", "json": {"captions": ["a"]}}, "2 images"),
    ],
)
def test_a_row_has_one_whole_image(
    write_shard: WriteShard, processor: Processor, members: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        load_examples(write_shard([members]), processor)


def test_a_row_without_json_or_no_row_at_all_is_an_error(
    write_shard: WriteShard, processor: Processor, red_jpg: bytes
) -> None:
    with pytest.raises(TrainingError, match="row 'row0': has no JSON"):
        load_examples(write_shard([{"jpg": red_jpg}]), processor)
    with pytest.raises(TrainingError, match="hold no rows"):
        load_examples(write_shard([]), processor)


def test_the_longest_text_fits_to_the_token(write_shard: WriteShard, processor: Processor, red_jpg: bytes) -> None:
    tokens = len(caption_ids(processor.tokenizer, "red " * 20)) - 1
    folder = write_shard([{"jpg": red_jpg, "json": {"captions": ["red " * 20]}}])
    assert tokens == 21
    load_examples(folder, processor, longest=tokens)
    with pytest.raises(TrainingError, match="needs 21 positions, the model has 20"):
        load_examples(folder, processor, longest=tokens - 1)


def test_texts_are_written_as_the_model_is_asked(tokenizer: Tokenizer) -> None:
    assert caption_ids(tokenizer, "a red picture ") == tokenizer.encode(" a red picture")
    prompt, answer = entailment_ids(tokenizer, "it is red", "contradiction")
    assert prompt == tokenizer.encode(entailment_prompt("it is red"))
    assert (prompt[0], prompt[-1]) == (BOS, EOS)
    assert tokenizer.decode(answer) == " no"
    assert answer[-1] == EOS


def test_decoding_fits_what_was_learnt(examples: list[Example], tokenizer: Tokenizer) -> None:
    longest = max(len(caption_ids(tokenizer, caption)) - 1 for example in examples for caption in example.captions)
    assert fitting_generation(examples, tokenizer) == GenerationConfig(max_tokens=longest, no_repeat_ngram=3)
    twice = Example(examples[0].pixels, ("red all over and red all over",), (), 1)
    assert fitting_generation([*examples, twice], tokenizer).no_repeat_ngram == 0
