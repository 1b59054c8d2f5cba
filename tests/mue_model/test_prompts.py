"""Prompts in OFA's words."""

from __future__ import annotations

import pytest

from mue_model.prompts import NAMES, TEMPLATES, clean, entailment_prompt, prompt_of


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("What Colour is it?", "what colour is it"),
        ("black-and/white, isn't it: #1*~;!", "black and white isn't it 1"),
        ("  two\n lines ", "two lines"),
        ("?!", ""),
    ],
)
def test_texts_are_cleaned_as_ofa_does(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_each_task_has_its_words_around_the_text() -> None:
    assert prompt_of("entailment", "A dog-sled.") == ' does the image describe " a dog sled "?'
    assert entailment_prompt("A dog-sled.") == prompt_of("entailment", "A dog-sled.")
    assert prompt_of("vqa", "What is {this}?") == " what is {this}?"


def test_a_caption_s_own_prompt_keeps_its_words() -> None:
    assert prompt_of("caption", "  Describe, in English:\n the Image. ") == " Describe, in English: the Image."


def test_every_task_has_a_prompt_and_a_name_for_its_text() -> None:
    assert set(TEMPLATES) == set(NAMES)
    assert all(template.startswith(" ") and "{text}" in template for template in TEMPLATES.values())
