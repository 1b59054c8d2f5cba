from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mue_model.metrics.tokenisation import pre_tokenised, tokenise

# Checked against Stanford's PTBTokenizer 3.4.1 followed by COCO's list of punctuation, unless said otherwise.
AS_COCO = [
    (
        "A big burly grizzly bear, with grass in the background.",
        "a big burly grizzly bear with grass in the background",
    ),
    ("Don't cannot gonna can't man's boys'", "do n't can not gon na ca n't man 's boys"),
    ("I'm we'll they've she'd you're wouldn't've", "i 'm we 'll they 've she 'd you 're would n't 've"),
    ("\"quoted\" 'single' “curly” ‘it’ it’s", "quoted single curly it it 's"),
    ("3.5 1,000 10:30 5-year-old black-and-white t-shirt", "3.5 1,000 10:30 5-year-old black-and-white t-shirt"),
    ("black/white a/c o'clock", "black/white a/c o'clock"),
    ("well -- known ... … – — ; : ! ?", "well known"),
    ("dog,cat grass.the", "dog cat grass.the"),
    ("$5 50% #1 a * b + c = d", "$ 5 50 % # 1 a * b + c = d"),
    ("the U.S. flag, e.g. here.", "the u.s. flag e.g. here"),
    ("a naïve café 日本語 😀 20°c", "a naïve café 日本語 20 ° c"),
    ("two\nlines\tand   spaces", "two lines and spaces"),
    ("bell\x07 rings\x0f", "bell rings"),
    ("", ""),
    ("...", ""),
]
OUR_OWN = [
    ("(round) [square] {curly}", "round square curly"),
    ("st. louis", "st louis"),
    ("yes!! what?!", "yes what"),
    ("r&b rock'n'roll", "r&b rock'n'roll"),
    ("£5 ½", "£ 5 ½"),
    ("«oui» ¿qué? 「はい」。", "oui qué はい"),
    ("हिन्दी e\u0301te\u0301", "हिन्दी e\u0301te\u0301"),
]


@pytest.mark.parametrize(("raw", "words"), [*AS_COCO, *OUR_OWN])
def test_words_are_those_of_the_coco_evaluation(raw: str, words: str) -> None:
    assert tokenise(raw) == words.split()


@given(st.text())
def test_any_text_becomes_words_without_white_space(text: str) -> None:
    words = tokenise(text)
    assert all(word and word == "".join(word.split()) for word in words)
    assert not set("".join(words)) & set('"!?;()[]{}`“”。')


@given(st.text(alphabet="abcdefg '.,-nt0123s"))
@example("don't 0'd it's wouldn't've")
def test_words_of_words_are_the_same(text: str) -> None:
    words = tokenise(text)
    assert tokenise(" ".join(words)) == words


def test_pre_tokenised_text_is_left_alone() -> None:
    assert pre_tokenised(" A  cat 's -LRB- ! ") == ["A", "cat", "'s", "-LRB-", "!"]
