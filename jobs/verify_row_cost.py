"""What one row says of itself against what its depths, its tokens and the model's configuration make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from jobs.verify_model import JobModel
from mue_model import costs
from mue_model.depth_trace import DepthTracer
from mue_model.entailment import entailment_candidates
from mue_model.exits import CosineExit, NeverExit, Stage
from mue_model.grid import STRIDE
from mue_model.rows import ExitTrace
from mue_model.tokenizer import EOS, PAD

Problem = tuple[str, object, object]
"""Column, what was expected, what was found."""


class RowCosts:
    """Checks rows of one job that are `ok`; `costs.row_flops` is its only source of FLOPs."""

    def __init__(self, model: JobModel) -> None:
        self._model = model
        self._config = model.facts.config
        side = model.facts.processor.image_size // STRIDE
        policy = CosineExit.from_config(model.exits, self._config, model.generation.max_tokens)
        self.tracer = DepthTracer(
            config=self._config,
            policy=policy,
            grid=(side, side),
            kv_policy=model.exits.kv_policy,
            beams=model.generation.beams,
        )
        self._full = replace(self.tracer, policy=NeverExit())
        tokenizer = model.facts.processor.tokenizer
        self._encode = lru_cache(maxsize=4096)(tokenizer.encode)
        self._flops = lru_cache(maxsize=65536)(lambda trace: costs.row_flops(self._config, trace))
        self._scores = model.task == "entailment"
        self._candidates = entailment_candidates(tokenizer) if self._scores else ()

    def depth_problem(self, row: Mapping[str, Any]) -> Iterator[Problem]:
        """Depths are possible ones, and as many as there were steps."""
        joint = self._config.streams == "joint"
        stages: list[tuple[str, Stage]] = [("image_layers_run", "joint" if joint else "image")]
        if joint:
            if row["text_layers_run"] != row["image_layers_run"]:
                yield "text_layers_run", f"{row['image_layers_run']}, of the one stream", row["text_layers_run"]
        else:
            stages.append(("text_layers_run", "text"))
        for name, stage in stages:
            if row[name] is None or not self.tracer.may_stop(stage, row[name]):
                yield name, f"1..{self._config.encoder_layers}, where the thresholds let a row leave", row[name]
        decoder = row["decoder_layers_run"]
        stage = "candidates" if self._scores else "decoder"
        for step, depth in enumerate(decoder):
            if depth is None or not self.tracer.may_stop(stage, depth, step):
                expected = f"1..{self._config.decoder_layers}, where the thresholds let a token leave"
                yield f"decoder_layers_run[{step}]", expected, depth
        steps = 1 if self._scores else len(row["tokens"])
        # A beam's text may end before the search does.
        most = self._limit if self._model.generation.beams > 1 and not self._scores else steps
        if not steps <= len(decoder) <= most:
            yield "decoder_layers_run", f"{steps} entries, one a step", f"{len(decoder)} entries"

    def text_problem(self, row: Mapping[str, Any]) -> Iterator[Problem]:
        """The text is that of the tokens, whose number and end are as the row says; the prompt is the job's."""
        if self._model.prompt is not None and row["prompt"] != self._model.prompt:
            yield "prompt", repr(self._model.prompt), repr(row["prompt"])
        tokens, reason = row["tokens"], row["finish_reason"]
        if row["n_tokens"] != len(tokens):
            yield "n_tokens", f"{len(tokens)}, the number of its tokens", row["n_tokens"]
        text = self._model.facts.processor.tokenizer.decode(tokens).strip()
        if row["text"] != text:
            yield "text", repr(text), repr(row["text"])
        if self._scores:
            labels = {candidate.ids: candidate.label for candidate in self._candidates}
            if row["label"] is None or labels.get(tuple(tokens)) != row["label"]:
                yield "label", f"{labels.get(tuple(tokens))}, which its tokens answer", row["label"]
            yield from self._choice_problem(row)
            return
        if EOS in tokens[:-1] or PAD in tokens:
            yield "tokens", "no padding, and an end only at the end", tokens
        ended = bool(tokens) and tokens[-1] == EOS
        if reason == "stop" and not ended:
            yield "tokens", "an end of sequence, as finish_reason 'stop' says", tokens
        elif reason == "length" and len(tokens) != self._limit:
            yield "n_tokens", f"{self._limit}, as finish_reason 'length' says", len(tokens)
        elif reason not in ("stop", "length"):
            yield "finish_reason", "stop or length", reason
        if len(tokens) > self._limit:
            yield "n_tokens", f"at most {self._limit}", len(tokens)

    def cost_problem(self, row: Mapping[str, Any]) -> Iterator[Problem]:
        """FLOPs and checks are those of the trace."""
        try:
            trace = self.trace(row)
        except (ValueError, TypeError) as error:
            yield "decoder_layers_run", "depths that a row can have", error
            return
        flops = self._flops(trace)
        expected = {
            "flops_executed": flops.executed,
            "flops_full_same_length": flops.full_same_length,
            "flops_checks": flops.checks,
            "flops_kv_fill": flops.kv_fill,
            "checks": sum(trace.checks),
        }
        for name, value in expected.items():
            if row[name] != value:
                yield name, value, row[name]

    def shadow_problem(self, row: Mapping[str, Any], shadow: Mapping[str, Any]) -> Iterator[Problem]:
        """A shadow ran every layer, and its FLOPs are those of that."""
        encoder, decoder = self._config.encoder_layers, self._config.decoder_layers
        steps = len(shadow["layers"]) - 2
        full = [encoder, encoder, *[decoder] * steps]
        if steps < 1 or shadow["layers"] != full:
            yield "layers", f"every layer: {[encoder, encoder]} and {decoder} a step", shadow["layers"]
            return
        most = self._limit if self._model.generation.beams > 1 else shadow["n_tokens"]
        if not self._scores and not shadow["n_tokens"] <= steps <= most:
            yield "n_tokens", f"{steps}, one a step", shadow["n_tokens"]
        flops = self._flops(self._trace(self._full, row["prompt"], encoder, encoder, full[2:]))
        if shadow["flops"] != flops.executed:
            yield "flops", flops.executed, shadow["flops"]

    def trace(self, row: Mapping[str, Any]) -> ExitTrace:
        """Return the trace that the row must have left."""
        depths = row["image_layers_run"], row["text_layers_run"], row["decoder_layers_run"]
        return self._trace(self.tracer, row["prompt"], *depths)

    def _trace(self, tracer: DepthTracer, prompt: str, image: int, text: int, decoder: Sequence[int]) -> ExitTrace:
        prompt_ids = self._encode(prompt)
        if self._scores:
            return tracer.scored(prompt_ids, self._candidates, image, text, decoder[0])
        return tracer.generated(len(prompt_ids), image, text, decoder)

    def _choice_problem(self, row: Mapping[str, Any]) -> Iterator[Problem]:
        """The answer is the candidate with the highest score, the first of equals."""
        scored = row["candidates"] or []
        if len(scored) != len(self._candidates):
            yield "candidates", f"{len(self._candidates)} answers with scores", f"{len(scored)}"
            return
        best = max(range(len(scored)), key=lambda number: scored[number]["score"])
        if self._candidates[best].label != row["label"]:
            yield "label", f"{self._candidates[best].label}, the answer with the highest score", row["label"]

    @property
    def _limit(self) -> int:
        return self._model.generation.max_tokens
