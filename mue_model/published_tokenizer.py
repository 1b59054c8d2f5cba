"""A published checkpoint's tokenizer, in either form: vocab.json and merges.txt, or OFA's fairseq files."""

from __future__ import annotations

import json
from pathlib import Path

from mue_model.tokenizer import MERGES_FILE, SPECIALS, VOCAB_FILE, Tokenizer, TokenizerError, read_merges

DICT_FILE, ENCODER_FILE, BPE_FILE = "dict.txt", "encoder.json", "vocab.bpe"
PUBLISHED_FORMS = ((VOCAB_FILE, MERGES_FILE), (DICT_FILE, ENCODER_FILE, BPE_FILE))


def tokenizer_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of the first form that is complete in `folder`; none if none is."""
    for form in PUBLISHED_FORMS:
        if all((folder / name).is_file() for name in form):
            return tuple(folder / name for name in form)
    return ()


def read_published_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """Return the tokenizer in `folder` for a model with `vocab_size` ids.

    Raises:
        TokenizerError: neither form is complete, or a file is malformed or belongs to another model.
    """
    files = tokenizer_files(folder)
    if not files:
        forms = ", or ".join(" and ".join(form) for form in PUBLISHED_FORMS)
        raise TokenizerError(f"{folder} holds no tokenizer: expected {forms}")
    if files[0].name == VOCAB_FILE:
        return Tokenizer.from_folder(folder, vocab_size=vocab_size)
    vocab = {token: i for i, token in enumerate([*SPECIALS, *_fairseq_tokens(*files[:2])])}
    return Tokenizer.of_model(vocab, read_merges(files[2]), vocab_size=vocab_size, where=str(folder))


def _fairseq_tokens(dictionary: Path, encoder: Path) -> list[str]:
    """Return the tokens behind the specials: each line of dict.txt names a GPT-2 id, or is a token itself."""
    try:
        token_of = {str(i): token for token, i in json.loads(encoder.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise TokenizerError(f"{encoder}: cannot be read as one JSON object of token: id: {error}") from error
    try:
        lines = dictionary.read_bytes().decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{dictionary}: cannot be read as UTF-8 text: {error}") from error
    tokens: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line and number == len(lines):
            break
        name, space, count = line.rstrip("\r").rpartition(" ")
        if not space or not name or not count.isdecimal():
            raise TokenizerError(f"{dictionary}: line {number}: expected a token and its count, found {line[:60]!r}")
        token = token_of.get(name, name)
        if token in tokens or token in SPECIALS:
            raise TokenizerError(f"{dictionary}: line {number}: {token!r} is there twice")
        tokens[token] = number
    return list(tokens)
