from __future__ import annotations

import pytest

from mue_model.corpus.grammar import counted, plural, with_article
from mue_model.corpus.nouns import NOUNS


@pytest.mark.parametrize(
    ("noun", "several"),
    [
        ("dog", "dogs"),
        ("fox", "foxes"),
        ("church", "churches"),
        ("paintbrush", "paintbrushes"),
        ("candy", "candies"),
        ("donkey", "donkeys"),
        ("taxi", "taxis"),
        ("mouse", "mice"),
        ("goose", "geese"),
        ("loaf", "loaves"),
        ("tomato", "tomatoes"),
        ("yoyo", "yoyos"),
        ("sheep", "sheep"),
        ("die", "dice"),
    ],
)
def test_plural(noun: str, several: str) -> None:
    assert noun in NOUNS
    assert plural(noun) == several


def test_no_two_nouns_share_a_plural() -> None:
    plurals = [plural(noun) for noun in NOUNS]
    assert len(set(plurals)) == len(plurals)


def test_articles() -> None:
    assert with_article("fox") == "a fox"
    assert with_article("orange fox") == "an orange fox"
    assert with_article("hourglass") == "an hourglass"
    assert with_article("horse") == "a horse"
    assert with_article("unicorn") == "a unicorn"
    assert with_article("umbrella") == "an umbrella"


def test_counted() -> None:
    assert counted(9, "knife") == "nine knives"
