"""A hypothesis about an image as tokens: OFA's prompt and the three answers it may have. No torch import."""

from __future__ import annotations

from functools import lru_cache

from mue_model.prompts import ENTAILMENT_ANSWERS, entailment_prompt
from mue_model.rows import Candidate
from mue_model.tokenizer import Tokenizer


def entailment_prompt_ids(tokenizer: Tokenizer, hypothesis: str) -> tuple[int, ...]:
    """Return the prompt with bos and eos."""
    return tokenizer.encode(entailment_prompt(hypothesis))


@lru_cache(maxsize=16)
def entailment_candidates(tokenizer: Tokenizer) -> tuple[Candidate, ...]:
    """Return one candidate for each label, in the order of `ENTAILMENT_ANSWERS`."""
    return tuple(
        Candidate(label=label, ids=tokenizer.encode(answer)[1:]) for label, answer in ENTAILMENT_ANSWERS.items()
    )
