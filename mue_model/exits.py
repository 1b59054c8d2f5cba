"""Exit policies: who judges whether a row's representation has settled.

MuE's rule (arXiv 2211.11152): after a layer, exit if the cosine similarity of the new state and the one before
exceeds a threshold. The published code takes one decision for the whole batch; here every row decides alone.
Instead, a decoded token may go by how sure the head is of it (CALM, arXiv 2207.07061).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

from mue_model.config import DecoderSignal, ExitConfig, ModelConfig, ScheduleName

Stage = Literal["image", "text", "joint", "decoder", "candidates"]
"""`decoder`: one token of a text. `candidates`: all answers that are scored for a row, side by side."""


class ExitPolicy(Protocol):
    """Decides, row by row, who leaves after a layer. Rows are known by uid, never by their place in a group."""

    row_dependent: bool
    """Whether decisions look at uids. Where they look at states only, equal inputs may share one encoding."""

    def may_exit(self, stage: Stage, layer: int, step: int) -> bool:
        """Whether `decide` can say yes here; where it cannot, it is not asked and no check is counted."""
        ...

    def decide(self, stage: Stage, layer: int, step: int, uids: Sequence[str], before: Tensor, after: Tensor) -> Tensor:
        """Return bool [G], true where the row exits, given its states [G, T, C] before and after `layer`.

        `layer` is 0-based; `step` is the 0-based decoding step, 0 in the encoder.
        """
        ...


class ReadsLogits(ExitPolicy, Protocol):
    """Judges decoded tokens by what the head says of them."""

    decoder_signal: DecoderSignal

    def decide_by_logits(self, layer: int, steps: Sequence[int], uids: Sequence[str], logits: Tensor) -> Tensor:
        """Return bool [G], true where the token of the row exits, given the logits [G, B, V] of its beams."""
        ...


def sharing_class(policy: ExitPolicy, uid: str) -> str | None:
    """Return what rows with equal inputs must have in common, too, to share one encoding; None: they may not.

    Asks the policy's method of this name, if it has one.
    """
    own = getattr(policy, "sharing_class", None)
    if own is not None:
        found: str | None = own(uid)
        return found
    return None if getattr(policy, "row_dependent", True) else ""


def decide_at(
    policy: ExitPolicy,
    stage: Stage,
    layer: int,
    steps: Sequence[int],
    uids: Sequence[str],
    before: Tensor,
    after: Tensor,
) -> Tensor:
    """Return what `policy` decides for rows that are at different `steps`: bool [G].

    Asks its method of this name, if it has one; else once for the rows of each step.
    """
    own = getattr(policy, "decide_at", None)
    if own is not None:
        decided: Tensor = own(stage, layer, steps, uids, before, after)
        return decided
    leaves = torch.zeros(len(uids), dtype=torch.bool, device=after.device)
    for step in sorted(set(steps)):
        rows = [row for row, own_step in enumerate(steps) if own_step == step]
        leaves[rows] = policy.decide(stage, layer, step, [uids[row] for row in rows], before[rows], after[rows])
    return leaves


def signal_of(policy: ExitPolicy, uid: str = "") -> DecoderSignal:
    """Return what `policy` judges decoded tokens of a row by: its attribute `decoder_signal`, if it has one.

    Asks the policy's method of this name, if it has one: of a row that goes by no confidence the head is not asked.
    """
    own = getattr(policy, "signal_of", None)
    signal: DecoderSignal = own(uid) if own is not None else getattr(policy, "decoder_signal", "similarity")
    return signal


def decide_tokens(
    policy: ExitPolicy,
    layer: int,
    steps: Sequence[int],
    uids: Sequence[str],
    before: Tensor,
    after: Tensor,
    head: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor | None]:
    """Return bool [G], whose tokens leave after `layer`, and if by confidence their logits [.., B, V], all they need.

    Where some rows go by confidence the others stay.

    Args:
        policy: Decides.
        layer: 0-based.
        steps: Of each row, 0-based.
        uids: Of each row.
        before: States [G, B, C] of each row's beams before the layer.
        after: The same after it.
        head: From states to logits.
    """
    sure = signal_of(policy) == "confidence"  # of most rows; those that go by none are looked for only then
    places = [place for place, uid in enumerate(uids) if sure and signal_of(policy, uid) == "confidence"]
    if not places:
        return decide_at(policy, "decoder", layer, steps, uids, before, after), None
    asked = torch.tensor(places, device=after.device)
    logits = head(after if len(places) == len(uids) else after[asked])
    own = [steps[place] for place in places], [uids[place] for place in places]
    found = cast(ReadsLogits, policy).decide_by_logits(layer, *own, logits)
    leaves = torch.zeros(len(uids), dtype=torch.bool, device=after.device)
    leaves[asked] = found
    return leaves, logits[found]


class NeverExit:
    """Full depth for every row."""

    row_dependent = False

    def may_exit(self, stage: Stage, layer: int, step: int) -> bool:
        """Return false: nothing is ever checked."""
        return False

    def decide(self, stage: Stage, layer: int, step: int, uids: Sequence[str], before: Tensor, after: Tensor) -> Tensor:
        """Return false for every row."""
        return torch.zeros(len(uids), dtype=torch.bool, device=after.device)


def row_similarity(before: Tensor, after: Tensor) -> Tensor:
    """Return the cosine similarity [G] of each row's states [G, T, C], all its tokens as one vector.

    Computed in fp32, or in the states' dtype where that is wider.
    """
    wide = torch.promote_types(after.dtype, torch.float32)
    return functional.cosine_similarity(before.to(wide).flatten(1), after.to(wide).flatten(1), dim=1)


SUREST = 0.9999999
"""Most that a confidence can be. Rounded probabilities reach 1, and a threshold of 1 means never."""


def confidence(logits: Tensor) -> Tensor:
    """Return the highest probability [...] that logits [..., V] give to a token, at most `SUREST`.

    Computed in fp32, or in the logits' dtype where that is wider.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return (wide.amax(dim=-1) - wide.logsumexp(dim=-1)).exp().clamp(max=SUREST)


class Schedule(Protocol):
    """How a decoder threshold depends on the decoding step."""

    def at(self, threshold: float, step: int) -> float:
        """Return the threshold in force at 0-based `step`."""
        ...


@dataclass(frozen=True)
class ConstantSchedule:
    """The same threshold at every step."""

    def at(self, threshold: float, step: int) -> float:
        """Return `threshold`."""
        return threshold


@dataclass(frozen=True)
class PaperSchedule:
    """beta * theta + (1 - beta) * exp(-tau * t / N): MuE's decay as reconstructed from the paper's text."""

    max_steps: int
    beta: float = 0.95
    tau: float = 1.0

    def at(self, threshold: float, step: int) -> float:
        """Return the decayed threshold."""
        return self.beta * threshold + (1 - self.beta) * math.exp(-self.tau * step / self.max_steps)


@dataclass(frozen=True)
class PublishedSchedule:
    """What the published script does: never in the first third of the steps, then a mix with a decay."""

    max_steps: int

    def at(self, threshold: float, step: int) -> float:
        """Return 1.0 (never), then 0.9 * theta + 0.1 * exp(-(t + 1) / (max_steps + 1))."""
        if step < self.max_steps / 3:
            return 1.0
        return 0.9 * threshold + 0.1 * math.exp(-(step + 1) / (self.max_steps + 1))


def make_schedule(name: ScheduleName, max_steps: int) -> Schedule:
    """Return the named schedule for texts of at most `max_steps` tokens."""
    schedules: dict[ScheduleName, Schedule] = {
        "constant": ConstantSchedule(),
        "paper": PaperSchedule(max_steps),
        "published": PublishedSchedule(max_steps),
    }
    return schedules[name]


class CosineExit:
    """MuE's rule with one threshold per stage, or one per layer of a stage; 1 or more means never."""

    row_dependent = False

    def __init__(self, thresholds: Mapping[Stage, Sequence[float]], schedule: Schedule | None = None) -> None:
        self._thresholds = {stage: tuple(values) for stage, values in thresholds.items()}
        self._schedule = schedule or ConstantSchedule()

    @classmethod
    def from_config(cls, exits: ExitConfig, model: ModelConfig, max_tokens: int) -> CosineExit:
        """Build the policy of `exits` for `model`; raises `ConfigError` for a wrong number of thresholds."""
        thresholds = {cast(Stage, stage): values for stage, values in exits.per_layer(model).items()}
        kind = cls if exits.decoder_signal == "similarity" else ConfidenceExit
        return kind(thresholds, make_schedule(exits.schedule, max_tokens))

    def threshold(self, stage: Stage, layer: int, step: int) -> float:
        """Return the threshold in force; candidates without one of their own go by the decoder's of a first token."""
        if stage == "candidates" and stage not in self._thresholds:
            return self.threshold("decoder", layer, 0)
        value = self._thresholds[stage][layer]
        return self._schedule.at(value, step) if stage == "decoder" and value < 1 else value

    def may_exit(self, stage: Stage, layer: int, step: int) -> bool:
        """Return whether the threshold is below 1: a rounded cosine can exceed 1, so 1 must mean never."""
        return self.threshold(stage, layer, step) < 1

    def decide(self, stage: Stage, layer: int, step: int, uids: Sequence[str], before: Tensor, after: Tensor) -> Tensor:
        """Return where the similarity strictly exceeds the threshold."""
        return row_similarity(before, after) > self.threshold(stage, layer, step)

    def decide_at(
        self, stage: Stage, layer: int, steps: Sequence[int], uids: Sequence[str], before: Tensor, after: Tensor
    ) -> Tensor:
        """Return the same for rows at different steps."""
        if isinstance(self._schedule, ConstantSchedule):
            return self.decide(stage, layer, 0, uids, before, after)
        return self._above(row_similarity(before, after), stage, layer, steps)

    def _above(self, signal: Tensor, stage: Stage, layer: int, steps: Sequence[int]) -> Tensor:
        """Return where a signal [G] of rows at `steps` strictly exceeds the threshold."""
        return signal > signal.new_tensor([self.threshold(stage, layer, step) for step in steps])


class ConfidenceExit(CosineExit):
    """The same in the encoder and for candidates; a token leaves where the head is sure enough what comes next.

    All beams of a row leave together, when the least sure one may.
    """

    decoder_signal: DecoderSignal = "confidence"

    def threshold(self, stage: Stage, layer: int, step: int) -> float:
        """Return the threshold in force; candidates without one of their own never leave."""
        if stage == "candidates" and stage not in self._thresholds:
            return 1.0
        return super().threshold(stage, layer, step)

    def decide_by_logits(self, layer: int, steps: Sequence[int], uids: Sequence[str], logits: Tensor) -> Tensor:
        """Return bool [G]: where the confidence of the logits [G, B, V] strictly exceeds the threshold."""
        return self._above(confidence(logits).amin(dim=-1), "decoder", layer, steps)


@dataclass(frozen=True)
class Depths:
    """The layers_run that a script prescribes for one row; the last decoder entry holds for all later steps."""

    image: int
    text: int
    decoder: tuple[int, ...]


class ScriptedExit:
    """Prescribed depths by uid, for tests and benchmarks: mechanism without numerics."""

    row_dependent = True

    def __init__(self, depths: Mapping[str, Depths]) -> None:
        self._depths = depths

    def _layers_run(self, uid: str, stage: Stage, step: int) -> int:
        depths = self._depths[uid]
        if stage in ("decoder", "candidates"):
            return depths.decoder[min(step, len(depths.decoder) - 1)]
        return depths.text if stage == "text" else depths.image

    def may_exit(self, stage: Stage, layer: int, step: int) -> bool:
        """Return true: the script decides everywhere."""
        return True

    def decide(self, stage: Stage, layer: int, step: int, uids: Sequence[str], before: Tensor, after: Tensor) -> Tensor:
        """Return where the script says that this layer is the last."""
        return self.decide_at(stage, layer, [step] * len(uids), uids, before, after)

    def decide_at(
        self, stage: Stage, layer: int, steps: Sequence[int], uids: Sequence[str], before: Tensor, after: Tensor
    ) -> Tensor:
        """Return the same for rows at different steps."""
        leaves = [layer + 1 >= self._layers_run(uid, stage, step) for uid, step in zip(uids, steps, strict=True)]
        return torch.tensor(leaves, device=after.device)
