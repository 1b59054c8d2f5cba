"""Text to token ids and back: byte-level BPE as in GPT-2 and BART, with OFA's ids.

Text never becomes a special token: "</s>" in a question is four characters, not the end of the sequence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import tokenizers
from tokenizers import models, pre_tokenizers

from mue_model.brief import brief
from mue_model.regular_file import read_bounded
from mue_model.strict_json import strict_json

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
"""The tokens with the ids 0 to 3, named as in BART."""
BOS, PAD, EOS, UNK = range(4)

VOCAB_FILE = "vocab.json"
MERGES_FILE = "merges.txt"

OFA_VOCAB_SIZE = 59_457
# Ids that OFA adds to BART's vocabulary; its published vocab.json may stop before them.
_OFA_ADDITIONS = {
    "<mask>": 50_264,
    **{f"<code_{i}>": 50_265 + i for i in range(8192)},
    **{f"<bin_{i}>": 58_457 + i for i in range(1000)},
}

# GPT-2 writes each byte as one visible character: itself where printable, else the next from U+0100 on.
_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_UNPRINTABLE = [byte for byte in range(256) if byte not in _PRINTABLE]
_CHAR_OF_BYTE = {byte: chr(byte) for byte in _PRINTABLE} | {b: chr(256 + i) for i, b in enumerate(_UNPRINTABLE)}
_BYTE_OF_CHAR = {char: byte for byte, char in _CHAR_OF_BYTE.items()}

Merge = tuple[str, str]


_LARGEST_ID = 2**31 - 1
_LONGEST_TOKEN = 1000
"""Ten times the longest of any vocabulary; what a model says would have no end."""


class TokenizerError(ValueError):
    """A vocabulary cannot be used. The message names the file and what is wrong with it."""


class Tokenizer:
    """A fixed vocabulary and its merges. Immutable, picklable, thread-safe; equal if the content is."""

    def __init__(self, vocab: Mapping[str, int], merges: Iterable[Merge], *, where: str = "tokenizer") -> None:
        """Check and take over the content; `where` names its origin in errors."""
        self._vocab = dict(vocab)
        self._merges = tuple(merges)
        self._tokens = _check_vocab(self._vocab, f"{where}: {VOCAB_FILE}")
        _check_merges(self._merges, self._vocab, f"{where}: {MERGES_FILE}")
        bpe = models.BPE(vocab=self._vocab, merges=list(self._merges), unk_token=SPECIALS[UNK])
        self._bpe = tokenizers.Tokenizer(bpe)
        self._bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._skipped = {BOS, PAD, EOS, UNK, self._vocab.get("<mask>", PAD)}
        self.vocab_size = max(self._tokens) + 1
        """Rows that an embedding needs: the largest id plus one."""
        self.digest = hashlib.sha256(self._vocab_json() + self._merges_txt()).hexdigest()
        """sha256 of what `save` writes: equal vocabularies have equal digests, however their files were written."""

    @classmethod
    def from_folder(cls, folder: str | Path, *, vocab_size: int | None = None) -> Self:
        """Read vocab.json and merges.txt of a model folder.

        `vocab_size` is the model's. Where it is OFA's, `<mask>`, `<code_i>` and `<bin_i>` are added if missing.

        Raises:
            TokenizerError: a file is missing or malformed, or holds ids that the model lacks.
        """
        path = Path(folder)
        vocab = _read_vocab(path / VOCAB_FILE)
        return cls.of_model(vocab, read_merges(path / MERGES_FILE), vocab_size=vocab_size, where=str(path))

    @classmethod
    def of_model(cls, vocab: Mapping[str, int], merges: Iterable[Merge], *, vocab_size: int | None, where: str) -> Self:
        """Take over the content for a model with `vocab_size` ids, as `from_folder` does."""
        if vocab_size == OFA_VOCAB_SIZE:
            vocab = {**_OFA_ADDITIONS, **vocab}
        tokenizer = cls(vocab, merges, where=where)
        if vocab_size is not None and tokenizer.vocab_size > vocab_size:
            raise TokenizerError(
                f"{where}: {VOCAB_FILE}: largest id {tokenizer.vocab_size - 1}, but the model's vocab_size is "
                f"{vocab_size}; the file belongs to another model"
            )
        return tokenizer

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the ids of `text` with bos and eos; any string has some. No space is put in front."""
        utf8 = text.encode("utf-8", "replace").decode()  # lone surrogates have no bytes
        return (BOS, *self._bpe.encode(utf8).ids, EOS)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`, the leading space included; any ids have one.

        Specials and ids out of the vocabulary are left out; bytes that are no UTF-8 become U+FFFD.
        """
        kept = (self._tokens.get(i, "") for i in map(int, ids) if i not in self._skipped)
        return b"".join(map(_bytes_of, kept)).decode("utf-8", "replace")

    def save(self, folder: str | Path) -> None:
        """Write vocab.json and merges.txt into `folder`, the same bytes for the same content."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        (path / VOCAB_FILE).write_bytes(self._vocab_json())
        (path / MERGES_FILE).write_bytes(self._merges_txt())

    def _vocab_json(self) -> bytes:
        by_id = {token: i for i, token in sorted(self._tokens.items())}
        return json.dumps(by_id, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    def _merges_txt(self) -> bytes:
        return "".join(["#version: 0.2\n", *(f"{a} {b}\n" for a, b in self._merges)]).encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._vocab, self._merges)

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocab_size} ids, {len(self._merges)} merges, sha256 {self.digest[:12]})"


def build_word_tokenizer(words: Sequence[str]) -> Tokenizer:
    """Return the tokenizer in which each of `words` with a space in front is one token; nothing is trained.

    Ids: the four specials, the 256 bytes in order, then every new prefix of " " + word in the order of `words`. Any
    other text is encoded by the prefixes it shares with a word, and by bytes.

    Raises:
        TokenizerError: a word can be no single token; only letters, or only digits, or only punctuation can.
    """
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    vocab = {token: i for i, token in enumerate([*SPECIALS, *(_CHAR_OF_BYTE[byte] for byte in range(256))])}
    merges: list[Merge] = []
    for word in words:
        pieces = splitter.pre_tokenize_str(" " + word)
        if len(pieces) != 1 or len(pieces[0][0]) < 2:
            raise TokenizerError(f"words: {word!r} can be no single token; split it, or leave out its punctuation")
        characters = pieces[0][0]
        # Every merge begins at the space, so in a text at most one can apply at a time: ranks do not matter.
        for end in range(1, len(characters)):
            prefix = characters[: end + 1]
            if prefix not in vocab:
                vocab[prefix] = len(vocab)
                merges.append((characters[:end], characters[end]))
    return Tokenizer(vocab, merges, where="words")


def _bytes_of(token: str) -> bytes:
    """Return the bytes that `token` stands for."""
    if all(char in _BYTE_OF_CHAR for char in token):
        return bytes(_BYTE_OF_CHAR[char] for char in token)
    return token.encode("utf-8", "replace")


def _read_vocab(path: Path) -> dict[str, int]:
    try:
        vocab = strict_json(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{path}: not JSON: {error}") from error
    if not isinstance(vocab, dict):
        raise TokenizerError(f"{path}: expected one JSON object of token: id, found {type(vocab).__name__}")
    return vocab


def read_merges(path: Path) -> list[Merge]:
    """Return the merges of a merges.txt, or of GPT-2's vocab.bpe, which has the same form."""
    merges: list[Merge] = []
    # Not splitlines(): it would also cut at characters that stand for bytes.
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        parts = line.rstrip("\r").split(" ")
        if parts == [""] or (number == 1 and line.startswith("#version")):
            continue
        if len(parts) != 2 or not all(parts):
            raise TokenizerError(f"{path}: line {number}: expected two tokens with one space, found {line[:60]!r}")
        merges.append((parts[0], parts[1]))
    return merges


def _read_text(path: Path) -> str:
    try:
        return read_bounded(path).decode()
    except FileNotFoundError as error:
        raise TokenizerError(f"{path}: missing; a model folder needs {VOCAB_FILE} and {MERGES_FILE}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _check_vocab(vocab: dict[str, int], where: str) -> dict[int, str]:
    """Return token by id, or raise naming the first token at fault."""
    tokens: dict[int, str] = {}
    for token, i in vocab.items():
        if isinstance(i, bool) or not isinstance(i, int) or not 0 <= i <= _LARGEST_ID:
            raise TokenizerError(
                f"{where}: {brief(token)} has the id {brief(i)}; expected an integer from 0 to {_LARGEST_ID}"
            )
        if len(token) > _LONGEST_TOKEN or not _is_text(token):
            raise TokenizerError(
                f"{where}: {brief(token)}, id {i}, is no token: expected text of at most {_LONGEST_TOKEN:,} characters"
            )
        if i in tokens:
            raise TokenizerError(f"{where}: {brief(token)} and {brief(tokens[i])} both have the id {i}")
        tokens[i] = token
    for i, token in enumerate(SPECIALS):
        if tokens.get(i) != token:
            raise TokenizerError(f"{where}: id {i} is {brief(tokens.get(i))}; expected {token!r}, as in BART and OFA")
    return tokens


def _is_text(token: str) -> bool:
    """Return whether it can be written: JSON can also say half of a character."""
    try:
        token.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_merges(merges: Sequence[Merge], vocab: Mapping[str, int], where: str) -> None:
    """Raise naming the first merge whose parts or result are not in the vocabulary."""
    for number, (a, b) in enumerate(merges, 1):
        for token in (a, b, a + b):
            if token not in vocab:
                raise TokenizerError(
                    f"{where}: merge {number} ({brief(a)} {brief(b)}) needs {brief(token)}, which {VOCAB_FILE} lacks; "
                    "the two files belong to different models"
                )
