"""The closed vocabulary of the corpus."""

from __future__ import annotations

import re
from functools import lru_cache

from mue_model.corpus.colours import COLOURS
from mue_model.corpus.grammar import NUMBERS, plural
from mue_model.corpus.nouns import NOUNS
from mue_model.corpus.phrases import CAPTIONS, NEUTRAL, QUESTIONS, STATEMENTS

_PROMPTS = "what does the image describe can text1 and text2 imply yes no maybe"
_OTHERS = "a an big small left right top bottom above below of"


@lru_cache(maxsize=1)
def corpus_vocabulary() -> tuple[str, ...]:
    """Return every word of captions, hypotheses, questions, answers and prompts, each once, in a fixed order.

    Lower case, letters only but for `text1` and `text2` of OFA's prompt, which are split. For `build_word_tokenizer`.
    """
    templates = [text for five in CAPTIONS.values() for text in five]
    templates += [*NEUTRAL, *QUESTIONS.values(), *(text for texts in STATEMENTS.values() for text in texts)]
    nouns = [word for noun in NOUNS for word in (noun, plural(noun))]
    text = " ".join([_PROMPTS, _OTHERS, *templates, *NUMBERS[1:], *COLOURS, *nouns])
    return tuple(dict.fromkeys(re.findall(r"[a-z]+", re.sub(r"\{\w+\}", " ", text))))
