"""VQA soft accuracy (arXiv 1505.00468): an answer is right as far as at least three people gave it.

Equal to the official evaluation, its oddities included: they decide whether two answers are the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ANSWERS_FOR_FULL_MARKS = 3

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(value) for value, word in enumerate(_NUMBERS)}}
_ARTICLES = frozenset({"a", "an", "the"})
_PERIOD = re.compile(r"\.(?!\d)")
_THOUSANDS = re.compile(r"\d,\d")
_CONTRACTIONS = """
    ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mightn't mustn't needn't oughtn't
    shan't shouldn't wasn't weren't won't wouldn't couldn't've hadn't've mightn't've shouldn't've wouldn't've
    could've might've must've not've should've they've we've what've where've who've would've you've
    he'd how'd it'd someone'd something'd there'd they'd where'd who'd you'd
    he'd've it'd've she'd've somebody'd've someone'd've something'd've there'd've they'd've we'd've who'd've you'd've
    how'll it'll somebody'll someone'll something'll they'll what'll who'll why'll you'll
    he's how's somebody's someone's that's there's what's when's where's who's why's
    there're they're what're why're you're ma'am o'clock 'ow's'at 'twas y'all y'all'll y'all'd've
"""
"""The contractions that the official evaluation completes; not `its`, `shes` or `lets`, which it leaves alone."""


def _misspelt() -> dict[str, str]:
    """Every way to leave out exactly one apostrophe, and what was meant."""
    found = {"somebody'd": "somebodyd"}  # This one the wrong way round, as in the official evaluation.
    for word in _CONTRACTIONS.split():
        for place, char in enumerate(word):
            if char == "'":
                found[word[:place] + word[place + 1 :]] = word
    return found


_MISSPELT = _misspelt()


@dataclass(frozen=True, kw_only=True)
class VqaScores:
    """Soft accuracy of one set of questions."""

    rows: int
    accuracy: float
    """Mean over the questions; one without an answer counts as wrong."""
    no_answer: int


class VqaTally:
    """Takes answers one by one."""

    def __init__(self) -> None:
        self._rows = self._no_answer = 0
        self._marks = 0.0

    def add(self, answer: str | None, human_answers: Sequence[str]) -> None:
        """Count one answer, None for a question without one. A single human answer counts as if all had given it."""
        self._rows += 1
        self._no_answer += answer is None
        if answer is not None:
            people = human_answers if len(human_answers) > 1 else list(human_answers) * 10
            self._marks += vqa_accuracy(answer, people)

    def scores(self) -> VqaScores:
        """Return the scores of what was added, one question at least."""
        return VqaScores(rows=self._rows, accuracy=self._marks / self._rows, no_answer=self._no_answer)


def vqa_accuracy(answer: str, human_answers: Sequence[str]) -> float:
    """Return min(n / 3, 1), averaged over leaving out each human answer in turn; n is how many of the others agree.

    Args:
        answer: The model's answer.
        human_answers: What people answered; VQA has ten of each question.

    Raises:
        ValueError: There are fewer than two human answers, so that nothing is left.
    """
    if len(human_answers) < 2:
        raise ValueError(f"{len(human_answers)} human answers; leaving one out needs at least two, VQA has ten")
    humans, answer = [_stripped(text) for text in human_answers], _stripped(answer)
    # Where all people agree the official evaluation compares the answers as they are.
    if len(set(humans)) > 1:
        humans, answer = [normalise_answer(text) for text in humans], normalise_answer(answer)
    agree = [text.lower() == answer.lower() for text in humans]
    total = sum(agree)
    marks = [min((total - left_out) / ANSWERS_FOR_FULL_MARKS, 1.0) for left_out in agree]
    return sum(marks) / len(marks)


def normalise_answer(text: str) -> str:
    """Return `text` in lower case with digits for numbers up to ten, without articles and punctuation.

    A punctuation mark becomes a space; it vanishes instead where the text has it next to a space, or has a comma
    between digits anywhere. Periods vanish except before a digit; apostrophes and colons stay.
    """
    grouped = _THOUSANDS.search(text) is not None
    plain = text
    for mark in _MARKS:
        beside_space = f"{mark} " in text or f" {mark}" in text
        plain = plain.replace(mark, "" if grouped or beside_space else " ")
    plain = _PERIOD.sub("", plain)
    words = (_DIGITS.get(word, word) for word in plain.lower().split())
    return " ".join(_MISSPELT.get(word, word) for word in words if word not in _ARTICLES)


def _stripped(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()
