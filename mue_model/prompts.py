"""What the model is asked, in OFA's words, and the answers it may give. No torch import."""

from __future__ import annotations

import re

ENTAILMENT_ANSWERS = {"entailment": " yes", "neutral": " maybe", "contradiction": " no"}
"""OFA's answer to each label; the leading space belongs to it."""

NAMES = {"caption": "prompt", "entailment": "hypothesis", "vqa": "question"}
"""What a row's own text is called in each task."""

TEMPLATES = {
    "caption": " {text}",
    "entailment": ' does the image describe " {text} "?',
    "vqa": " {text}?",
}
"""The prompt of each task around a text of the row's own; the leading space belongs to it."""

CLEANED = ("entailment", "vqa")
"""Tasks whose texts OFA cleans."""

_DROPPED = re.compile(r"[,.!?*#:;~]")
_SPACED = re.compile(r"[-/]")


def clean(text: str) -> str:
    """Return `text` as OFA feeds it to entailment and VQA: lower case, little punctuation, single spaces."""
    return " ".join(_SPACED.sub(" ", _DROPPED.sub("", text.lower())).split())


def prompt_of(task: str, text: str) -> str:
    """Return the prompt of `task` about a text of the row's own; it has white space only where single spaces are."""
    return TEMPLATES[task].format(text=clean(text) if task in CLEANED else " ".join(text.split()))


def entailment_prompt(hypothesis: str) -> str:
    """Return OFA's image-only entailment prompt."""
    return prompt_of("entailment", hypothesis)
