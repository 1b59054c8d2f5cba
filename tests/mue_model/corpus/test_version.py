"""The version in the corpus must change whenever the same settings would give another row."""

from __future__ import annotations

import hashlib

from mue_model.corpus.captions import captions_of
from mue_model.corpus.draws import Draws
from mue_model.corpus.hypotheses import hypotheses_of
from mue_model.corpus.questions import questions_of
from mue_model.corpus.scene import Scene
from mue_model.corpus.settings import CORPUS_VERSION
from mue_model.corpus.vocabulary import corpus_vocabulary


def test_scenes_and_words_are_those_of_this_version(scenes: list[Scene]) -> None:
    """Pixels are left out: they depend on the releases of the drawing libraries, which corpus.json records."""
    digest = hashlib.sha256(" ".join(corpus_vocabulary()).encode())
    for number, scene in enumerate(scenes[::5]):
        texts = (captions_of(scene), hypotheses_of(scene, Draws(number)), questions_of(scene, Draws(number)))
        digest.update(repr((scene, texts)).encode())
    message = "the corpus has changed: raise CORPUS_VERSION, then put its new digest here"
    assert (CORPUS_VERSION, digest.hexdigest()[:16]) == (2, "a271c07da78a4e44"), message
