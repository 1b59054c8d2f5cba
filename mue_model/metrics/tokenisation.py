"""Words of a caption as the COCO caption evaluation (arXiv 1504.00325) counts them: lower case, no punctuation.

The COCO evaluation runs Stanford's PTBTokenizer, a Java program, and then drops a list of punctuation tokens. This is
the same convention without Java. It differs where captions hardly ever go:

- Brackets are dropped. COCO means to drop them, but lower-cases `-LRB-` before it looks for it, and keeps `-lrb-`.
- The period of an abbreviation is dropped (`st louis`); that of initials is kept, as there (`u.s.`).
- Runs such as `!!` are dropped too, and so is every Unicode punctuation mark; there they stay.
- `£`, `½` and their like stay as they are; there they are spelt in ASCII. Emoji vanish in both.
- `r&b` is one word whatever its case; there only `R&B` is. `rock'n'roll` is one word; there it is three.
- Addresses (`https://...`) are split at their punctuation.

Both sides of a comparison must go through the same function, so such a difference rarely moves a score.
"""

from __future__ import annotations

import re
import unicodedata

_APOSTROPHES = "'\u2018\u2019\u201b\u02bc\u2032\uff07"
_KEPT = "#$%&*+/<=>@\\^|~"
"""ASCII signs that stay as words of their own; all other ASCII punctuation is dropped, as PTB plus COCO do."""

_WORD = r"[^\s\x00-/:-@\[-^`{-\x7f]"
_TOKEN = re.compile(
    rf"(?<!{_WORD})(?:[^\W\d_]\.){{2,}}(?!{_WORD})"  # initials: u.s.
    rf"|{_WORD}+(?:(?:[-'&/@.]|(?<=\d)[,:](?=\d)){_WORD}+)*"  # t-shirt, o'clock, 3.5, 1,000, 10:30, black/white
    rf"|[{re.escape(_KEPT)}]"
    r"|(?<!\S)'(?:s|m|d|ll|re|ve)(?!\S)"  # an ending that was split off before
)
_ENDING = re.compile(r"(?<=.)(n't|'(?:s|m|d|ll|re|ve))$")
_TWO_WORDS = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "wanna": ("wan", "na"),
    "gimme": ("gim", "me"),
    "lemme": ("lem", "me"),
}


def tokenise(text: str) -> list[str]:
    """Return the words of a raw caption; an empty list where it has none."""
    text = text.lower()
    if not text.isascii():
        text = text.translate(_PLAIN)
    words: list[str] = []
    for token in _TOKEN.findall(text):
        if "'" in token:
            words += _without_endings(token)
        elif token in _TWO_WORDS:
            words += _TWO_WORDS[token]
        else:
            words.append(token)
    return words


def pre_tokenised(text: str) -> list[str]:
    """Return the words of a caption that was tokenised before: what stands between white space, unchanged."""
    return text.split()


def _without_endings(token: str) -> list[str]:
    """Split off what PTB takes for words: `ca n't`, `man 's`, `would n't 've`."""
    endings: list[str] = []
    while match := _ENDING.search(token):
        endings.insert(0, match[1])
        token = token[: match.start()]
    return [token, *endings]


class _Plain(dict[int, str]):
    """Maps a character beyond ASCII to what the pattern understands; remembers each answer."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if code < 128:
            plain = char
        elif char in _APOSTROPHES:
            plain = "'"
        elif category == "Cf" or 0xFE00 <= code <= 0xFE0F:
            # Joiners and variation selectors say how to draw their neighbours, which stay together.
            plain = ""
        elif category[0] in "PZC" or (category[0] == "S" and (code > 0xFFFF or char == "\ufffd")):
            plain = " "
        elif category[0] == "S":
            plain = f" {char} "
        else:
            plain = char
        self[code] = plain
        return plain


_PLAIN = _Plain()
