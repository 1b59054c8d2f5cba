"""A row answered again by `mue_model.reference`, and how a different answer came about: a tie, or something else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor

from jobs.verify_model import JobModel
from mue_model.decoding import greedy_tokens
from mue_model.engine.runner import is_fatal
from mue_model.exits import (
    CosineExit,
    ExitPolicy,
    NeverExit,
    ReadsLogits,
    Stage,
    confidence,
    row_similarity,
    signal_of,
)
from mue_model.loading import load_model
from mue_model.model import MueModel
from mue_model.reference import encode, run_row
from mue_model.row_decoder import RowDecoder
from mue_model.rows import RowInput, RowResult

TOLERANCES = {"float64": (1e-9, 1e-7), "float32": (1e-4, 1e-2), "bfloat16": (2e-2, 0.5), "float16": (5e-3, 0.1)}
"""By dtype: margins of a similarity and of a logit below which rounding may decide."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a second answer says of the first one."""

    outcome: Literal["exact", "near tie", "not reproduced", "mismatch"]
    """`not reproduced`: it failed at the model, and does not now; whether it did is the machine's to know."""
    expected: str = ""
    found: str = ""
    why: str = ""
    """Of a near tie: what nearly came out otherwise, and its margin. Of what is not reproduced: what came instead."""


class SecondAnswer:
    """Answers rows one at a time, with the weights loaded once."""

    def __init__(self, model: JobModel) -> None:
        self._job = model
        self._policy = CosineExit.from_config(model.exits, model.facts.config, model.generation.max_tokens)
        self._model = load_model(model.facts, dtype=model.dtype)
        self._wide: MueModel | None = None

    def against(self, row: RowInput, recorded: dict[str, Any]) -> Comparison:
        """Return whether `row` gets the recorded answer with the recorded depths."""
        result = self._run(self._model, row)
        return self._judged(
            result,
            found=_recorded(recorded),
            same=lambda result: self._same(result, recorded),
            tie=lambda: self._tie(row, result, recorded),
            wide=lambda: self._run(self._in_float64(), row),
        )

    def shadow_against(self, row: RowInput, shadow: Mapping[str, Any]) -> Comparison:
        """Return whether `row`, with every layer run, gets the answer that its shadow says."""
        result = self._run(self._model, row, NeverExit())
        image, text, *decoder = shadow["layers"]
        return self._judged(
            result,
            found=f"{_words(shadow['text'], image, text, decoder)}, {shadow['n_tokens']} tokens",
            same=lambda result: self._is_shadow(result, shadow),
            tie=lambda: self._tie_at_full_depth(row, result, shadow),
            wide=lambda: self._run(self._in_float64(), row, NeverExit()),
        )

    def answered(self, row: RowInput) -> str | None:
        """Return in words the answer that `row` gets, or None where the model fails on it."""
        try:
            result = self._run(self._model, row)
            logits = _logits(self._model, row, self._policy, self._job) if self._watchable(row) else []
        except Exception as failure:  # whatever a model raises is the row's failure, as it is in a job
            if is_fatal(failure):
                raise
            return None
        finite = all(map(math.isfinite, result.scores)) and not any(step.isnan().any() for step in logits)
        return self._said(result) if finite else None

    def _judged(
        self,
        result: RowResult,
        *,
        found: str,
        same: Callable[[RowResult], bool],
        tie: Callable[[], str | None],
        wide: Callable[[], RowResult],
    ) -> Comparison:
        if same(result):
            return Comparison(outcome="exact")
        why = tie()
        if why is None and same(wide()):
            why = f"the reference in {self._job.dtype} differs, in float64 it agrees"
        outcome: Literal["mismatch", "near tie"] = "mismatch" if why is None else "near tie"
        return Comparison(outcome=outcome, expected=self._said(result), found=found, why=why or "")

    def _run(self, model: MueModel, row: RowInput, policy: ExitPolicy | None = None) -> RowResult:
        return run_row(model, row, policy or self._policy, self._job.generation, self._job.exits.kv_policy)

    def _in_float64(self) -> MueModel:
        if self._wide is None:
            self._wide = load_model(self._job.facts, dtype="float64")
        return self._wide

    def _same(self, result: RowResult, recorded: dict[str, Any]) -> bool:
        assert result.trace is not None
        depths = (result.trace.image, result.trace.text, list(result.trace.decoder))
        there = tuple(recorded[name] for name in ("image_layers_run", "text_layers_run", "decoder_layers_run"))
        return depths == there and list(result.tokens) == recorded["tokens"] and result.label == recorded["label"]

    def _is_shadow(self, result: RowResult, shadow: Mapping[str, Any]) -> bool:
        assert result.trace is not None
        layers = [result.trace.image, result.trace.text, *result.trace.decoder]
        said = (shadow["text"], shadow["n_tokens"], shadow["layers"])
        return said == (self._answer(result), len(result.tokens), layers)

    def _tie(self, row: RowInput, result: RowResult, recorded: dict[str, Any]) -> str | None:
        """Return in words the first decision that came out otherwise, if its margin is within rounding."""
        watch = _Watch(self._policy)
        near_similarity, near_logit = TOLERANCES[self._job.dtype]
        logits = _logits(self._model, row, watch, self._job) if self._watchable(row) else []
        if not logits:
            run_row(self._model, row, watch, self._job.generation, self._job.exits.kv_policy)
        assert result.trace is not None
        encoder: Stage = "joint" if self._model.config.streams == "joint" else "image"
        stages: list[tuple[Stage, int, int, int]] = [
            (encoder, 0, result.trace.image, recorded["image_layers_run"]),
            ("text", 0, result.trace.text, recorded["text_layers_run"]),
        ]
        decoder: Stage = "candidates" if row.candidates else "decoder"
        steps = zip(result.trace.decoder, recorded["decoder_layers_run"], strict=False)
        for step, (own, theirs) in enumerate(steps):
            stages.append((decoder, step, own, theirs))
        for stage, step, own, theirs in stages:
            if own != theirs:
                margin = watch.margin(stage, min(own, theirs) - 1, step)
                signal = signal_of(watch) if stage == "decoder" else "similarity"
                what = f"{stage} {signal} within {margin:.1e} of its threshold" if margin is not None else ""
                return what if margin is not None and margin <= near_similarity else None
            if stage == "decoder" and step < min(len(logits), len(recorded["tokens"])):
                ours, other = result.tokens[step], recorded["tokens"][step]
                if ours != other:
                    margin = float(logits[step][ours] - logits[step][other])
                    return f"tokens {margin:.1e} apart at step {step}" if margin <= near_logit else None
        return self._label_tie(row, result, recorded, near_logit)

    def _tie_at_full_depth(self, row: RowInput, result: RowResult, shadow: Mapping[str, Any]) -> str | None:
        """Return in words the first token that is within rounding of one which leads to the shadow's text.

        A shadow has no tokens: those of its text may be cut otherwise than the model wrote them.
        """
        assert result.trace is not None
        near = TOLERANCES[self._job.dtype][1]
        if {*shadow["layers"][2:]} != {*result.trace.decoder}:
            return None  # rounding changes no depth here
        if row.candidates:
            return self._label_tie(row, result, {"label": shadow["text"]}, near)
        if not self._watchable(row):
            return None
        steps = _logits(self._model, row, NeverExit(), self._job)
        for step, (own, logits) in enumerate(zip(result.tokens, steps, strict=True)):
            margins = logits[own] - logits
            for other in (margins <= near).nonzero().flatten().tolist():
                if other != own and self._leads_to(shadow["text"], result.tokens[:step], other):
                    return f"tokens {float(margins[other]):.1e} apart at step {step}"
            if not self._leads_to(shadow["text"], result.tokens[:step], own):
                return None
        return None

    def _leads_to(self, text: str, tokens: Sequence[int], token: int) -> bool:
        """Return whether `text` can be what is written with `token` behind `tokens`."""
        if token == self._model.config.eos_token_id:
            return text == self._text(tokens)
        decode = self._job.facts.processor.tokenizer.decode
        written = decode((*tokens, token))
        # The last character may be cut between its bytes.
        return written != decode(tokens) and text.startswith(written.rstrip("\ufffd").strip())

    def _label_tie(self, row: RowInput, result: RowResult, recorded: Mapping[str, Any], near: float) -> str | None:
        scores = {candidate.label: score for candidate, score in zip(row.candidates, result.scores, strict=False)}
        if recorded["label"] not in scores or result.label not in scores:
            return None
        margin = scores[result.label] - scores[recorded["label"]]
        return f"answers {margin:.1e} apart" if margin <= near else None

    def _watchable(self, row: RowInput) -> bool:
        return not row.candidates and self._job.generation.beams == 1

    def _said(self, result: RowResult) -> str:
        assert result.trace is not None
        return _words(self._answer(result), result.trace.image, result.trace.text, result.trace.decoder)

    def _answer(self, result: RowResult) -> str:
        return result.label or self._text(result.tokens)

    def _text(self, tokens: Sequence[int]) -> str:
        return self._job.facts.processor.tokenizer.decode(tokens).strip()


def _recorded(row: dict[str, Any]) -> str:
    depths = (row[name] for name in ("image_layers_run", "text_layers_run", "decoder_layers_run"))
    return _words(row["label"] or row["text"], *depths)


def _words(answer: str, image: int, text: int, decoder: Sequence[int]) -> str:
    return f"{answer!r} after {image} image and {text} text layers, tokens {list(decoder)}"


class _Watch:
    """The same exits, with all that is compared with a threshold kept."""

    row_dependent = False

    def __init__(self, policy: CosineExit) -> None:
        self._policy = policy
        self.decoder_signal = signal_of(policy)
        self._seen: dict[tuple[Stage, int, int], float] = {}

    def may_exit(self, stage: Stage, layer: int, step: int) -> bool:
        return self._policy.may_exit(stage, layer, step)

    def decide(self, stage: Stage, layer: int, step: int, uids: Sequence[str], before: Tensor, after: Tensor) -> Tensor:
        self._seen[stage, layer, step] = float(row_similarity(before, after)[0])
        return self._policy.decide(stage, layer, step, uids, before, after)

    def decide_by_logits(self, layer: int, steps: Sequence[int], uids: Sequence[str], logits: Tensor) -> Tensor:
        self._seen["decoder", layer, steps[0]] = float(confidence(logits).amin())
        return cast(ReadsLogits, self._policy).decide_by_logits(layer, steps, uids, logits)

    def margin(self, stage: Stage, layer: int, step: int) -> float | None:
        """Return how far the signal was from its threshold; None where nothing was checked."""
        seen = self._seen.get((stage, layer, step))
        return None if seen is None else abs(seen - self._policy.threshold(stage, layer, step))


@torch.inference_mode()
def _logits(model: MueModel, row: RowInput, policy: ExitPolicy, job: JobModel) -> list[Tensor]:
    """Write the row's text greedily and return the logits of each step; what may not come next is at -inf."""
    image = model.normalise(torch.from_numpy(row.pixels.copy())[None])
    encoded = encode(model, image, torch.tensor([row.prompt_ids], device=model.device), policy, row.uid)
    decoder = RowDecoder(model, encoded, policy, job.exits.kv_policy, row.uid)
    tokens: list[int] = []
    found: list[Tensor] = []
    token = model.config.bos_token_id
    while len(tokens) < job.generation.max_tokens and (not tokens or token != model.config.eos_token_id):
        logits = decoder.step(token)
        token = greedy_tokens(logits, [tokens], job.generation, model.config, overwrite=True)[0]
        tokens.append(token)
        found.append(logits[0])
    return found
