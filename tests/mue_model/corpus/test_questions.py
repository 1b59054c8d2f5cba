from __future__ import annotations

import re
from collections import Counter
from typing import Any

from mue_model.corpus.draws import Draws
from mue_model.corpus.grammar import NUMBERS
from mue_model.corpus.questions import ANSWERS, PER_PICTURE, questions_of
from mue_model.corpus.scene import Scene


def holds(question: str, answer: str, judge: Any) -> bool:
    """Say whether an answer is right, knowing only the objects."""
    if match := re.fullmatch(r"how many (.+) are there", question):
        name, total = match[1], len(judge.objects)
        return judge.counts(answer, name) if name != "things" else NUMBERS.index(answer) == total
    if match := re.fullmatch(r"what color (?:is|are) the (\w+)", question):
        return {thing["color"] for thing in judge.find(match[1])} == {answer}
    if match := re.fullmatch(r"what color is the (biggest|smallest) (\w+)", question):
        return bool(judge.extreme(match[1], match[2], answer))
    if match := re.fullmatch(r"how big is the (\w+)", question):
        return bool(judge.the(match[1])["size"] == answer)
    if match := re.fullmatch(r"what is (left of|right of|above|below|in front of) the (\w+)", question):
        others = [thing["noun"] for thing in judge.objects if thing["noun"] != match[2]]
        return [other for other in others if judge.towards(other, match[1], match[2])] == [answer]
    if match := re.fullmatch(r"what is behind the (\w+)", question):
        return bool(judge.behind(answer, match[1]))
    if match := re.fullmatch(r"what is between the (\w+) and the (\w+)", question):
        return bool(judge.between(answer, match[1], match[2]))
    if match := re.fullmatch(r"is the (\w+) bigger than the (\w+)", question):
        return judge.bigger(match[1], match[2]) == (answer == "yes")
    assert question in ("what is in the picture", "what are the things"), question
    return bool(judge.all_are(answer))


def test_answers_are_right(documents: list[dict[str, Any]], judge: Any) -> None:
    for document in documents:
        for asked in document["vqa"]:
            answer = asked["answers"][0]
            assert asked["answers"] == [answer] * ANSWERS
            assert holds(asked["question"], answer, judge(document["objects"])), (document["caption"], asked)


def test_every_picture_has_questions_and_all_kinds_are_asked(scenes: list[Scene]) -> None:
    kinds: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for number, scene in enumerate(scenes):
        found = questions_of(scene, Draws("asked", number))
        assert len(found) == (1 if scene.family == "one" else PER_PICTURE)
        assert len({str(asked["question"]) for asked in found}) == len(found)
        kinds.update(" ".join(str(asked["question"]).split()[:3]) for asked in found)
        answers.update(str(asked["answers"][0]) for asked in found)  # type: ignore[index]
    assert len(kinds) > 12
    assert answers["yes"] > 20
    assert answers["no"] > 20
