"""Both published forms of a tokenizer give the same ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mue_model.processor import CAPTION_PROMPT
from mue_model.published_tokenizer import read_published_tokenizer, tokenizer_files
from mue_model.tokenizer import OFA_VOCAB_SIZE, Tokenizer, TokenizerError, build_word_tokenizer

WORDS = build_word_tokenizer(["cat", "dog"])


def write_fairseq_form(folder: Path) -> None:
    """WORDS, with fairseq's detour: dict.txt lists GPT-2's ids in another order than encoder.json."""
    WORDS.save(folder)
    vocab = json.loads((folder / "vocab.json").read_text("utf-8"))
    tokens = [token for token in vocab if vocab[token] > 3]
    gpt2 = {token: 1000 - i for i, token in enumerate(tokens)}
    (folder / "encoder.json").write_text(json.dumps(gpt2), "utf-8")
    lines = [f"{gpt2[token]} {len(tokens) - i}" for i, token in enumerate(tokens)]
    (folder / "dict.txt").write_text("\n".join([*lines, "madeupword0000 0", ""]), "utf-8")
    (folder / "merges.txt").rename(folder / "vocab.bpe")
    (folder / "vocab.json").unlink()


def test_ofas_published_files_give_its_published_ids(bpe_folder: Path, tmp_path: Path) -> None:
    tokenizer = read_published_tokenizer(bpe_folder, OFA_VOCAB_SIZE)
    assert tokenizer.encode(CAPTION_PROMPT) == (0, 99, 473, 5, 2274, 6190, 116, 2)
    assert [tokenizer.encode(word) for word in (" yes", " no", " maybe")] == [(0, 4420, 2), (0, 117, 2), (0, 2085, 2)]
    assert tokenizer.vocab_size == OFA_VOCAB_SIZE
    assert tokenizer.decode([59_456]) == "<bin_999>"
    tokenizer.save(tmp_path)
    assert read_published_tokenizer(tmp_path, OFA_VOCAB_SIZE) == tokenizer == Tokenizer.from_folder(tmp_path)


def test_fairseqs_form_gives_the_ids_of_vocab_json(tmp_path: Path) -> None:
    write_fairseq_form(tmp_path)
    tokenizer = read_published_tokenizer(tmp_path, 400)
    assert tokenizer.encode(" cat dogs") == WORDS.encode(" cat dogs")
    assert tokenizer.decode([WORDS.vocab_size]) == "madeupword0000"
    assert {path.name for path in tokenizer_files(tmp_path)} == {"dict.txt", "encoder.json", "vocab.bpe"}


def test_vocab_json_comes_first_where_both_forms_are_there(tmp_path: Path) -> None:
    write_fairseq_form(tmp_path)
    WORDS.save(tmp_path)
    assert read_published_tokenizer(tmp_path, 400) == WORDS


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("dict.txt", "12\n", r"dict\.txt: line 1: expected a token and its count, found '12'"),
        ("dict.txt", "12 x\n", r"dict\.txt: line 1: expected a token and its count"),
        ("dict.txt", "1000 1\n\n999 1\n", r"dict\.txt: line 2: expected a token and its count, found ''"),
        ("dict.txt", "1000 1\n1000 1\n", r"dict\.txt: line 2: .* is there twice"),
        ("dict.txt", "1000 1\n", r"vocab\.json lacks"),
        ("dict.txt", b"\xff", r"dict\.txt: cannot be read as UTF-8"),
        ("encoder.json", "[1]", r"encoder\.json: cannot be read as one JSON object"),
        ("encoder.json", "{", r"encoder\.json: cannot be read as one JSON object"),
        ("vocab.bpe", "a b c\n", r"vocab\.bpe: line 1: expected two tokens"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path: Path, file: str, content: str | bytes, said: str) -> None:
    write_fairseq_form(tmp_path)
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TokenizerError, match=said):
        read_published_tokenizer(tmp_path, 400)


def test_an_incomplete_folder_says_what_is_expected(tmp_path: Path) -> None:
    write_fairseq_form(tmp_path)
    (tmp_path / "dict.txt").unlink()
    expected = r"vocab\.json and merges\.txt, or dict\.txt and encoder\.json and vocab\.bpe"
    with pytest.raises(TokenizerError, match=rf"holds no tokenizer: expected {expected}"):
        read_published_tokenizer(tmp_path, 400)
    assert tokenizer_files(tmp_path) == ()


def test_a_vocabulary_larger_than_the_models_is_refused(tmp_path: Path) -> None:
    write_fairseq_form(tmp_path)
    with pytest.raises(TokenizerError, match="but the model's vocab_size is 100"):
        read_published_tokenizer(tmp_path, 100)
