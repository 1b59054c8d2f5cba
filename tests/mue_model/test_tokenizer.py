"""The tokenizer gives OFA's published ids, loses no text, and names the file that is wrong."""

from __future__ import annotations

import json
import pickle
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mue_model.processor import CAPTION_PROMPT
from mue_model.tokenizer import OFA_VOCAB_SIZE, SPECIALS, Tokenizer, TokenizerError, build_word_tokenizer
from mue_model.words import CAPTION_WORDS

WORDS = build_word_tokenizer(CAPTION_WORDS)
HARD_TEXTS = [
    "",
    " ",
    " what does the image describe?",
    "no leading space",
    " It's 2 o'clock -- isn't it?",
    "  two  spaces\tand\nlines \n",
    " naïve café 日本語 🐈‍⬛ \u2028\x85\x00\x1f",
    " </s> <pad> <s><unk> <mask> <code_5>",
    " catcat thecat",
]


@pytest.fixture(scope="module")
def model_folder(bpe_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OFA's vocabulary as a checkpoint holds it: vocab.json and merges.txt, without the added ids."""
    token_of = {str(i): token for token, i in json.loads((bpe_folder / "encoder.json").read_text("utf-8")).items()}
    lines = (bpe_folder / "dict.txt").read_text("utf-8").split("\n")
    names = [line.split(" ")[0] for line in lines if line]
    vocab = dict.fromkeys(SPECIALS, 0) | {token_of.get(name, name): 0 for name in names}
    folder = tmp_path_factory.mktemp("ofa")
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocab)}), "utf-8")
    (folder / "merges.txt").write_text((bpe_folder / "vocab.bpe").read_text("utf-8"), "utf-8")
    return folder


@pytest.fixture(scope="module")
def ofa(model_folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(model_folder, vocab_size=OFA_VOCAB_SIZE)


def test_the_caption_prompt_has_the_published_ids(ofa: Tokenizer) -> None:
    assert ofa.encode(CAPTION_PROMPT) == (0, 99, 473, 5, 2274, 6190, 116, 2)


def test_the_answers_of_entailment_have_the_published_ids(ofa: Tokenizer) -> None:
    assert [ofa.encode(answer) for answer in (" yes", " no", " maybe")] == [(0, 4420, 2), (0, 117, 2), (0, 2085, 2)]


def test_ofas_added_ids_are_filled_in_only_for_its_vocabulary_size(ofa: Tokenizer, model_folder: Path) -> None:
    plain = Tokenizer.from_folder(model_folder)
    assert (plain.vocab_size, ofa.vocab_size) == (50_264, OFA_VOCAB_SIZE)
    assert ofa.decode([50_264, 50_265, 58_456, 58_457, 59_456]) == "<code_0><code_8191><bin_0><bin_999>"
    assert plain.decode([50_265]) == ""
    assert plain.encode(CAPTION_PROMPT) == ofa.encode(CAPTION_PROMPT)


def test_a_vocabulary_larger_than_the_model_is_refused(model_folder: Path) -> None:
    with pytest.raises(TokenizerError, match=r"vocab\.json: largest id 50263, but the model's vocab_size is 1000"):
        Tokenizer.from_folder(model_folder, vocab_size=1000)


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_texts_survive_both_vocabularies(ofa: Tokenizer, text: str) -> None:
    assert ofa.decode(ofa.encode(text)) == text
    assert WORDS.decode(WORDS.encode(text)) == text


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_any_text_survives_and_never_becomes_a_special(text: str) -> None:
    ids = WORDS.encode(text)
    assert ids[0] == 0
    assert ids[-1] == 2
    assert all(i > 3 for i in ids[1:-1])
    assert WORDS.decode(ids) == text


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(-(2**70), 2**70) | st.integers(0, 1600)))
def test_any_ids_decode(ids: list[int]) -> None:
    WORDS.decode(ids).encode("utf-8")


def test_broken_utf8_and_lone_surrogates_are_replaced() -> None:
    cut = WORDS.encode("日")[1:-2]
    assert WORDS.decode(cut) == "\ufffd"
    assert WORDS.decode(WORDS.encode(" a\ud800b")) == " a?b"


def test_every_listed_word_is_one_token() -> None:
    assert len(set(CAPTION_WORDS)) == len(CAPTION_WORDS) >= 400
    lengths = {word: len(WORDS.encode(" " + word)) - 2 for word in CAPTION_WORDS}
    assert set(lengths.values()) == {1}, {word for word, length in lengths.items() if length != 1}
    assert len(WORDS.encode(CAPTION_PROMPT)) == 8
    assert len(WORDS.encode(" unlistedword")) > 3


def test_the_word_vocabulary_is_the_one_the_shipped_model_was_made_with() -> None:
    # Fails when mue_model/words.py changes: then the small model that ships has to be made anew.
    assert WORDS.vocab_size == 1506
    assert WORDS.digest == "2763da65df28f1829086ae5cae43b6085bef055ae7c4d86580cd6cfd5883d118"


@pytest.mark.parametrize("word", ["t-shirt", "two words", "it's", "", "a1"])
def test_a_word_that_can_be_no_single_token_is_named(word: str) -> None:
    with pytest.raises(TokenizerError, match="can be no single token"):
        build_word_tokenizer(["cat", word])


def test_saving_pickling_and_threads_keep_the_vocabulary(tmp_path: Path) -> None:
    WORDS.save(tmp_path / "new" / "folder")
    again = Tokenizer.from_folder(tmp_path / "new" / "folder")
    assert again == WORDS == pickle.loads(pickle.dumps(WORDS))
    assert hash(again) == hash(WORDS)
    assert build_word_tokenizer(["cat"]) != WORDS
    expected, found = WORDS.encode(CAPTION_PROMPT), []
    threads = [threading.Thread(target=lambda: found.append(again.encode(CAPTION_PROMPT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


def test_the_digest_ignores_how_the_files_were_written(tmp_path: Path) -> None:
    WORDS.save(tmp_path)
    vocab = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    (tmp_path / "vocab.json").write_text(json.dumps(dict(reversed(vocab.items())), indent=1), "utf-8")
    merges = (tmp_path / "merges.txt").read_text("utf-8")
    (tmp_path / "merges.txt").write_bytes(merges.split("\n", 1)[1].replace("\n", "\r\n").encode())
    assert Tokenizer.from_folder(tmp_path).digest == WORDS.digest


GOOD_VOCAB = {**{token: i for i, token in enumerate(SPECIALS)}, "a": 4, "b": 5, "ab": 6}


@pytest.mark.parametrize(
    ("vocab", "merges", "message"),
    [
        (None, "", r"vocab\.json: missing; a model folder needs vocab\.json and merges\.txt"),
        (GOOD_VOCAB, None, r"merges\.txt: missing"),
        ("{", "", r"vocab\.json: not JSON"),
        ("[1]", "", r"vocab\.json: expected one JSON object of token: id, found list"),
        (b"\xff{}", "", r"vocab\.json: cannot be read as UTF-8"),
        ({**GOOD_VOCAB, "a": "x"}, "", r"vocab\.json: 'a' has the id 'x'"),
        ({**GOOD_VOCAB, "a": -1}, "", r"vocab\.json: 'a' has the id -1"),
        ('{"<s>": 0, "a": 1, "a": 2}', "", r"vocab\.json: not JSON: the key 'a' is given twice"),
        ({**GOOD_VOCAB, "\ud800": 7}, "", r"vocab\.json: '\\ud800', id 7, is no token"),
        (
            {**GOOD_VOCAB, "x" * 1001: 7},
            "",
            r"vocab\.json: 'x+\.\.\.x+', id 7, is no token: expected text",
        ),
        ({**GOOD_VOCAB, "a": 2**40}, "", r"vocab\.json: 'a' has the id 1099511627776"),
        ("[" * 100_000, "", r"vocab\.json: not JSON"),
        ({**GOOD_VOCAB, "a": 5}, "", r"vocab\.json: 'b' and 'a' both have the id 5"),
        ({**GOOD_VOCAB, "<s>": 9}, "", r"vocab\.json: id 0 is None; expected '<s>'"),
        (GOOD_VOCAB, "#version: 0.2\na b c\n", r"merges\.txt: line 2: expected two tokens"),
        (GOOD_VOCAB, "#version: 0.2\nb a\n", r"merges\.txt: merge 1 \('b' 'a'\) needs 'ba'"),
    ],
)
def test_errors_name_the_file_and_the_fault(tmp_path: Path, vocab: object, merges: str | None, message: str) -> None:
    if vocab is not None:
        content = json.dumps(vocab) if isinstance(vocab, dict) else vocab
        (tmp_path / "vocab.json").write_bytes(content if isinstance(content, bytes) else str(content).encode())
    if merges is not None:
        (tmp_path / "merges.txt").write_text(merges, "utf-8")
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_folder(tmp_path)


def test_a_byte_outside_the_vocabulary_is_unknown_not_an_error() -> None:
    small = Tokenizer(GOOD_VOCAB, [("a", "b")])
    assert small.encode("abz") == (0, 6, 3, 2)
    assert small.decode(small.encode("abz")) == "ab"
