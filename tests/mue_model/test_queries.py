"""A row's own text as a query, or the reason why it is none."""

from __future__ import annotations

from typing import Any

import pytest

from mue_model.prompts import ENTAILMENT_ANSWERS, prompt_of
from mue_model.queries import QueryError, make_query
from mue_model.rows import target_length
from mue_model.tokenizer import build_word_tokenizer
from mue_model.words import CAPTION_WORDS

TOKENIZER = build_word_tokenizer(CAPTION_WORDS)


def refused(task: str, text: Any, longest: int = 1024) -> QueryError:
    with pytest.raises(QueryError) as error:
        make_query(task, text, TOKENIZER, longest=longest)
    return error.value


def test_a_hypothesis_has_the_three_answers_to_choose_from() -> None:
    query = make_query("entailment", "A dog.", TOKENIZER, longest=1024)
    assert query.prompt == ' does the image describe " a dog "?'
    assert query.prompt_ids == TOKENIZER.encode(query.prompt)
    assert [candidate.label for candidate in query.candidates] == list(ENTAILMENT_ANSWERS)
    assert [TOKENIZER.decode(candidate.ids) for candidate in query.candidates] == list(ENTAILMENT_ANSWERS.values())


@pytest.mark.parametrize("task", ["caption", "vqa"])
def test_other_texts_are_answered_freely(task: str) -> None:
    query = make_query(task, "What colour is the dog?", TOKENIZER, longest=1024)
    assert (query.prompt, query.candidates) == (prompt_of(task, "What colour is the dog?"), ())


@pytest.mark.parametrize(
    ("task", "text", "said"),
    [
        ("entailment", None, "the hypothesis is no text but None"),
        ("entailment", 7, "the hypothesis is no text but 7"),
        ("vqa", ["a"], "the question is no text but ['a']"),
        ("vqa", "?!", "the question '?!' has no words"),
        ("caption", " \n", "the prompt ' \\n' has no words"),
        ("vqa", {"long": "x" * 999}, "..."),
    ],
)
def test_what_is_no_text_is_a_bad_field(task: str, text: Any, said: str) -> None:
    error = refused(task, text)
    assert error.code == "bad_field"
    assert said in error.message
    assert len(error.message) < 150


def test_a_prompt_may_be_as_long_as_the_model_has_positions() -> None:
    ids = make_query("vqa", "a dog", TOKENIZER, longest=1024).prompt_ids
    assert make_query("vqa", "a dog", TOKENIZER, longest=len(ids)).prompt_ids == ids
    error = refused("vqa", "a dog", longest=len(ids) - 1)
    assert (error.code, error.prompt) == ("prompt_too_long", " a dog?")
    assert f"has {len(ids)} tokens, but the model has {len(ids) - 1} positions" in error.message


def test_the_decoder_s_positions_count_too_where_answers_stand_behind_the_prompt() -> None:
    query = make_query("entailment", "a dog", TOKENIZER, longest=1024)
    needed = target_length(query.prompt_ids, query.candidates)
    assert needed > len(query.prompt_ids), "an answer has several tokens here, or nothing is tested"
    assert make_query("entailment", "a dog", TOKENIZER, longest=needed) == query
    error = refused("entailment", "a dog", longest=needed - 1)
    assert error.code == "prompt_too_long"
    assert f"the prompt with the answers has {needed} tokens" in error.message
