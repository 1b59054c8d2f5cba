"""The trace that a row must have left, from its depths and tokens alone: what an auditor recomputes a row's cost from.

Checks, fills and projections follow from the depths and the exit policy, so a trace need not be stored to be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mue_model.candidates import targets_of
from mue_model.config import KvPolicy, ModelConfig
from mue_model.exits import ExitPolicy, Stage, signal_of
from mue_model.rows import Candidate, ExitTrace


@dataclass(frozen=True, kw_only=True)
class DepthTracer:
    """Gives traces of rows that were answered under one job's settings."""

    config: ModelConfig
    policy: ExitPolicy
    grid: tuple[int, int]
    """Image patches as (rows, columns)."""
    kv_policy: KvPolicy = "propagate"
    beams: int = 1
    _known: dict[tuple[Stage, int, int], int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def generated(self, prompt_tokens: int, image: int, text: int, decoder: Sequence[int]) -> ExitTrace:
        """Return the trace of a row whose text was generated, token by token to these depths."""
        checks = sum(self._checks("decoder", depth, step) for step, depth in enumerate(decoder))
        return ExitTrace(
            grid=self.grid,
            prompt_tokens=prompt_tokens,
            image=image,
            text=text,
            decoder=tuple(decoder),
            checks=(*self._encoder_checks(image, text), checks),
            kv_fills=0 if self.kv_policy == "holes" else _fills(decoder),
            cross_kv_layers=max(decoder),
            kv_policy=self.kv_policy,
            decoder_signal=signal_of(self.policy),
            beams=self.beams,
        )

    def scored(
        self, prompt_ids: Sequence[int], candidates: Sequence[Candidate], image: int, text: int, depth: int
    ) -> ExitTrace:
        """Return the trace of a row whose candidates were scored to one depth."""
        shape = targets_of(prompt_ids, candidates).shape
        return ExitTrace(
            grid=self.grid,
            prompt_tokens=len(prompt_ids),
            image=image,
            text=text,
            decoder=(depth,),
            checks=(*self._encoder_checks(image, text), self._checks("candidates", depth, 0)),
            kv_fills=0,
            cross_kv_layers=depth,
            candidates=len(candidates),
            target_length=shape.length,
            target_tokens=shape.tokens,
            scored_tokens=len(shape.branches),
        )

    def may_stop(self, stage: Stage, depth: int, step: int = 0) -> bool:
        """Return whether a row can have left `stage` after `depth` layers: at the last one, or where it is checked."""
        layers = self._layers(stage)
        return depth == layers or (0 < depth < layers and self.policy.may_exit(stage, depth - 1, step))

    def _encoder_checks(self, image: int, text: int) -> tuple[int, int]:
        if self.config.streams == "joint":
            return self._checks("joint", image, 0), 0
        return self._checks("image", image, 0), self._checks("text", text, 0)

    def _checks(self, stage: Stage, depth: int, step: int) -> int:
        """Checks of a row that left after `depth` layers; there is none behind the last layer."""
        place = (stage, depth, step)
        if place not in self._known:
            layers = min(depth, self._layers(stage) - 1)
            self._known[place] = sum(self.policy.may_exit(stage, layer, step) for layer in range(layers))
        return self._known[place]

    def _layers(self, stage: Stage) -> int:
        return self.config.decoder_layers if stage in ("decoder", "candidates") else self.config.encoder_layers


def _fills(decoder: Sequence[int]) -> int:
    """(position, layer) pairs that were skipped and projected later, for the last token that reached the layer."""
    fills = 0
    for layer in range(max(decoder)):
        last = max(step for step, depth in enumerate(decoder) if depth > layer)
        fills += sum(depth <= layer for depth in decoder[:last])
    return fills
