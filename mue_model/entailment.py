"""A hypothesis about an image as tokens: OFA's prompt and the three answers it may have. No torch import."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from mue_model.prompts import ENTAILMENT_ANSWERS, entailment_prompt
from mue_model.rows import Candidate
from mue_model.tokenizer import Tokenizer


def hypotheses_of(found: Any) -> Iterator[tuple[str, str]]:
    """Yield hypothesis and label of each entry of `ve`, as `mue corpus` writes it; raise `ValueError` for any other."""
    if not isinstance(found, list):
        raise ValueError("'ve' is no list")
    for pair in found:
        hypothesis, label = (pair.get("hypothesis"), pair.get("label")) if isinstance(pair, dict) else (None, None)
        if not isinstance(hypothesis, str) or not hypothesis.strip():
            raise ValueError(f"ve {pair!r} has no hypothesis")
        if label not in ENTAILMENT_ANSWERS:
            raise ValueError(f"label {label!r} of '{hypothesis}'; expected {', '.join(ENTAILMENT_ANSWERS)}")
        yield hypothesis, label


def entailment_prompt_ids(tokenizer: Tokenizer, hypothesis: str) -> tuple[int, ...]:
    """Return the prompt with bos and eos."""
    return tokenizer.encode(entailment_prompt(hypothesis))


@lru_cache(maxsize=16)
def entailment_candidates(tokenizer: Tokenizer) -> tuple[Candidate, ...]:
    """Return one candidate for each label, in the order of `ENTAILMENT_ANSWERS`."""
    return tuple(
        Candidate(label=label, ids=tokenizer.encode(answer)[1:]) for label, answer in ENTAILMENT_ANSWERS.items()
    )
