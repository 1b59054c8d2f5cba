"""One query about an image as tokens: a row's own text in OFA's prompt, and what may be answered. No torch import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mue_model.entailment import entailment_candidates
from mue_model.prompts import NAMES, prompt_of
from mue_model.rows import Candidate, target_length
from mue_model.tokenizer import Tokenizer


class QueryError(ValueError):
    """A row's text is no query. `code` is an `ErrorCode` value of the pipeline, `prompt` what would have been asked."""

    def __init__(self, code: str, message: str, prompt: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.prompt = code, message, prompt


@dataclass(frozen=True, slots=True)
class Query:
    """What a model is asked about an image."""

    prompt: str
    prompt_ids: tuple[int, ...]
    """With bos and eos."""
    candidates: tuple[Candidate, ...] = ()
    """Answers to choose from; none means that text is generated."""


def make_query(task: str, text: Any, tokenizer: Tokenizer, *, longest: int) -> Query:
    """Return the query of `task` about a row's own `text`.

    Args:
        task: `caption`, `entailment` or `vqa`.
        text: What the row has where its prompt, hypothesis or question should be.
        tokenizer: Of the model that is asked.
        longest: Positions that the model has, in the encoder and in the decoder.

    Raises:
        QueryError: `bad_field` if `text` is no text or an empty one, `prompt_too_long`.
    """
    name = NAMES[task]
    if not isinstance(text, str):
        shown = repr(text)
        raise QueryError("bad_field", f"the {name} is no text but {shown[:60]}{'...' if len(shown) > 60 else ''}")
    prompt = prompt_of(task, text)
    if prompt == prompt_of(task, ""):
        raise QueryError("bad_field", f"the {name} {text[:60]!r} has no words")
    ids = tokenizer.encode(prompt)
    candidates = entailment_candidates(tokenizer) if task == "entailment" else ()
    # The decoder is given the prompt again, and each answer behind it.
    tokens = max(len(ids), target_length(ids, candidates)) if candidates else len(ids)
    if tokens > longest:
        behind = " with the answers" if tokens > len(ids) else ""
        message = (
            f"the prompt{behind} has {tokens:,} tokens, but the model has {longest:,} positions; shorten the {name}"
        )
        raise QueryError("prompt_too_long", message, prompt)
    return Query(prompt, ids, candidates)
