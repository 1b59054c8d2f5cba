"""The little English that captions need: plurals, articles, number words."""

from __future__ import annotations

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
"""Number words by value."""

_SAME_IN_PLURAL = {"sheep", "fish", "deer", "bison", "moose", "squid", "shrimp", "jellyfish"}
_IRREGULAR = {
    "mouse": "mice",
    "goose": "geese",
    "tooth": "teeth",
    "die": "dice",
    "knife": "knives",
    "wolf": "wolves",
    "leaf": "leaves",
    "loaf": "loaves",
    "scarf": "scarves",
    "fly": "flies",
    "butterfly": "butterflies",
    "volcano": "volcanoes",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "mango": "mangoes",
    "buffalo": "buffaloes",
}
_AN_DESPITE_CONSONANT = ("hourglass",)
_A_DESPITE_VOWEL = ("unicorn",)


def plural(noun: str) -> str:
    """Return the plural of a noun of the table."""
    if noun in _SAME_IN_PLURAL:
        return noun
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def with_article(words: str) -> str:
    """Return the words with "a" or "an" in front."""
    vowel = words[0] in "aeiou" and not words.startswith(_A_DESPITE_VOWEL)
    return f"an {words}" if vowel or words.startswith(_AN_DESPITE_CONSONANT) else f"a {words}"


def counted(number: int, noun: str) -> str:
    """Return the noun in the plural behind its number in words."""
    return f"{NUMBERS[number]} {plural(noun)}"
