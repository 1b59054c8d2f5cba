from __future__ import annotations

from mue_model.corpus.captions import captions_of
from mue_model.corpus.draws import Draws
from mue_model.corpus.hypotheses import hypotheses_of
from mue_model.corpus.questions import questions_of
from mue_model.corpus.scene import Scene
from mue_model.corpus.vocabulary import corpus_vocabulary
from mue_model.tokenizer import UNK, build_word_tokenizer


def texts_of(scene: Scene, number: int) -> list[str]:
    texts = list(captions_of(scene))
    texts += [found["hypothesis"] for found in hypotheses_of(scene, Draws("words", number))]
    for asked in questions_of(scene, Draws("words", number)):
        answers = asked["answers"]
        assert isinstance(answers, list)
        texts += [str(asked["question"]), answers[0]]
    return texts


def test_every_word_is_in_the_vocabulary(scenes: list[Scene]) -> None:
    used = {word for number, scene in enumerate(scenes) for text in texts_of(scene, number) for word in text.split()}
    words = corpus_vocabulary()
    assert used <= set(words)
    assert len(set(words)) == len(words)
    # Closed: nearly all of it is used by a few thousand rows already.
    assert len(used) > 0.9 * len(words)


def test_every_word_is_one_token_of_a_small_tokenizer(scenes: list[Scene]) -> None:
    tokenizer = build_word_tokenizer(corpus_vocabulary())
    assert tokenizer.vocab_size <= 8000
    for number, scene in enumerate(scenes[::10]):
        for text in texts_of(scene, number):
            ids = tokenizer.encode(" " + text)
            assert len(ids) == len(text.split()) + 2
            assert UNK not in ids
    for answer in (" yes", " no", " maybe"):
        assert len(tokenizer.encode(answer)) == 3


def test_prompts_are_mostly_single_tokens() -> None:
    tokenizer = build_word_tokenizer(corpus_vocabulary())
    assert len(tokenizer.encode(" what does the image describe?")) == 8
