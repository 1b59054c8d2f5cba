"""What goes into the engine and what comes out of it, for one row. No torch import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mue_model.grid import STRIDE

FinishReason = Literal["stop", "length", "candidate", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One permitted answer."""

    label: str
    ids: tuple[int, ...]
    """Token ids of the answer, without bos, with eos."""


def target_length(prompt_ids: Sequence[int], candidates: Sequence[Candidate]) -> int:
    """Return the decoder positions that the longest candidate needs: prompt without eos, answer without eos."""
    return len(prompt_ids) - 1 + max(len(candidate.ids) for candidate in candidates) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RowInput:
    """One query about one image."""

    uid: str
    pixels: np.ndarray
    """uint8 [H, W, 3], RGB; H and W multiples of 16."""
    prompt_ids: tuple[int, ...]
    """Prompt token ids with bos and eos."""
    task: str = "caption"
    candidates: tuple[Candidate, ...] = ()
    """Answers to choose from; none means that text is generated."""
    image_key: str = ""
    """Rows with the same key, unless it is empty, have the same pixels: the engine may encode them once."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            found = f"{self.pixels.dtype} {list(self.pixels.shape)}"
            raise ValueError(f"row {self.uid}: pixels are {found}, expected uint8 [H, W, 3]")
        height, width = self.pixels.shape[:2]
        if not height or not width or height % STRIDE or width % STRIDE:
            raise ValueError(f"row {self.uid}: pixels of {height} x {width}; both sides must be multiples of {STRIDE}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitTrace:
    """What was executed for one row as if it ran alone: the whole input of `costs.row_flops`.

    `image`, `text` and the entries of `decoder` are layers_run (counts, 1..L).
    """

    grid: tuple[int, int]
    """Image patches as (rows, columns)."""
    prompt_tokens: int
    image: int
    text: int
    decoder: tuple[int, ...]
    """One entry per decoding step executed; with candidates one entry for all of their positions."""
    checks: tuple[int, int, int]
    """Checks made on the image (or joint), text and decoder states."""
    kv_fills: int
    """(position, layer) pairs whose skipped self-attention keys and values were projected later."""
    cross_kv_layers: int
    """Decoder layers whose cross-attention keys and values were projected."""
    kv_policy: Literal["propagate", "just_in_time", "holes"] = "propagate"
    decoder_signal: Literal["similarity", "confidence"] = "similarity"
    """What decoded tokens were checked by; for a confidence the head ran, whose logits serve a token that leaves.
    Candidates are always checked by similarity."""
    beams: int = 1
    """Beams that every decoding step was executed for; they share its depth."""
    candidates: int = 0
    """Candidates scored; 0 where text was generated."""
    target_length: int = 0
    """Decoder positions of the longest candidate."""
    target_tokens: int = 0
    """Tokens that the decoder read: the prompt's, and the candidates' with what they have in common once."""
    scored_tokens: int = 0
    """Tokens whose logits were needed: those that several tokens may follow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowError:
    """Why a row has no answer. `code` is an `ErrorCode` value of the pipeline."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reused:
    """FLOPs of a row that were not executed because another row's result was shared, by what was shared."""

    tables: int = 0
    """Position tables: constants of a grid, a prompt length and a step."""
    text: int = 0
    """The text stream of a prompt."""
    image: int = 0
    """Stem and image stream of an image with several rows."""
    cross_kv: int = 0
    """Cross-attention keys and values of a shared stream."""

    def total(self) -> int:
        """Return the sum of all."""
        return self.tables + self.text + self.image + self.cross_kv


@dataclass(frozen=True, kw_only=True, slots=True)
class RowResult:
    """The answer to one row: text or label, tokens, why it ended, and what was executed."""

    uid: str
    text: str | None = None
    label: str | None = None
    tokens: tuple[int, ...] = ()
    """Generated ids, end of sequence included where it was generated; of candidates, the chosen one's."""
    scores: tuple[float, ...] = ()
    """Log-probability of each candidate among all of them, in their order."""
    finish_reason: FinishReason = "none"
    trace: ExitTrace | None = None
    error: RowError | None = None
    flops_reused: int = 0
    """FLOPs of the row that were not executed because another row's result was shared."""
    reused: Reused = Reused()
    """`flops_reused` by what was shared."""
    flops_padding: int = 0
    """FLOPs executed in this row's place that the row did not need."""
    queue_ms: float = 0.0
    """From submission until the engine took the row in."""
    infer_ms: float = 0.0
    """From then until its result; other rows were worked on meanwhile, so it is never a per-row cost."""
    group_uids: tuple[str, ...] = field(default=(), repr=False)
    """All rows of the batch that the row ran in (diagnostics)."""
