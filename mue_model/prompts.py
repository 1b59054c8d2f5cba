"""What the model is asked, in OFA's words, and the answers it may give. No torch import."""

from __future__ import annotations

import re

ENTAILMENT_ANSWERS = {"entailment": " yes", "neutral": " maybe", "contradiction": " no"}
"""OFA's answer to each label; the leading space belongs to it."""

_DROPPED = re.compile(r"[,.!?*#:;~]")
_SPACED = re.compile(r"[-/]")


def clean(text: str) -> str:
    """Return `text` as OFA feeds it to entailment and VQA: lower case, little punctuation, single spaces."""
    return " ".join(_SPACED.sub(" ", _DROPPED.sub("", text.lower())).split())


def entailment_prompt(hypothesis: str) -> str:
    """Return OFA's image-only entailment prompt."""
    return f' does the image describe " {clean(hypothesis)} "?'
