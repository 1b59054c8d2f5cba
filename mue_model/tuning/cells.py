"""What a row would say at every depth: the table that joint thresholds are screened on, without torch.

A cell is a depth of the encoder's streams together with a depth of the decoder. `collect` fills the table from a model;
`screen` reads from it what any thresholds would do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mue_model.config import DecoderSignal, ModelConfig
from mue_model.rows import ExitTrace
from mue_model.tuning.net_work import Sharing

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Signals and answers of the rows of one task. E encoder layers, D decoder layers, T steps (1: candidates)."""

    encoder: dict[str, Floats]
    """By stage, image and text or joint: [N, E - 1], the similarity after each layer but the last."""
    decoder: Floats
    """[N, E, E, D - 1, T]: the signal after each decoder layer but the last, with the memory of each image depth from 1
    on and each text depth. Of a joint stream the second E is 1."""
    holds: Bools
    """[N, E, E, D, T]: of captions, whether the token is the one that full depth says behind the same tokens; of
    candidates, whether the chosen one is right. True behind the last step."""
    eligible: Bools
    """[N]: whether the row is right if all of it holds. Of captions, whether it is right at full depth."""
    traces: tuple[ExitTrace, ...]
    """What each row executed at full depth."""
    decoder_signal: DecoderSignal = "similarity"
    """What `decoder` is; of candidates always similarities."""
    sharing: Sharing
    """Which rows a job encodes together."""

    @property
    def last_stage(self) -> str:
        """Return the decoder's stage: candidates are judged by thresholds of their own."""
        return "candidates" if self.traces[0].candidates else "decoder"

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """Decoding steps of each row at full depth."""
        return np.array([len(trace.decoder) for trace in self.traces])


def encoder_stages(config: ModelConfig) -> tuple[str, ...]:
    """Return the stages that memory is made of."""
    return ("joint",) if config.streams == "joint" else ("image", "text")
