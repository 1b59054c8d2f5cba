"""A model tried on labelled shards in this process, without Ray: quality, layers, FLOPs and time side by side.

Time is the engine's alone: reading and decoding are done before it is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from jobs.answer_scores import AnswerScorer, AnswerScores
from jobs.evaluation_rows import Depths, group_name, group_order
from jobs.references import References
from jobs.trial_questions import Question
from mue_model import costs
from mue_model.config import ConfigError, ModelConfig
from mue_model.engine.engine import Engine
from mue_model.metrics.captions import CaptionScorer, CaptionScores
from mue_model.metrics.tokenisation import tokenise
from mue_model.rows import RowResult
from pipeline.row_field import RowField

CHUNK = 1024
"""Questions in memory at a time: far more than any batch, so that batches are full."""


@dataclass(frozen=True, kw_only=True)
class TrialScores:
    """What was answered by one set of questions, and what it took."""

    rows: int
    captions: CaptionScores | None
    """None for tasks whose answers are right or wrong."""
    answers: AnswerScores | None
    """None for captions."""
    depths: Depths
    flops_executed: int
    flops_full_same_length: int

    @property
    def executed_share(self) -> float:
        """FLOPs executed, as a share of those of the same rows and lengths at full depth."""
        return self.flops_executed / self.flops_full_same_length


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One model at one exit setting on one corpus."""

    all: TrialScores
    groups: dict[str, TrialScores]
    """By the value of the field that rows are told apart by."""
    failed: int
    """Questions that the model gave no answer to: wrong in entailment and VQA, in no score of captions."""
    without_references: int
    model_s: float
    """Seconds that the engine worked."""
    processor_s: float
    """Seconds of all threads of the process meanwhile."""
    answers: list[tuple[Question, RowResult]]
    """The first ones, for a look."""


def run_trial(
    questions: Iterable[Question],
    engine: Engine,
    config: ModelConfig,
    references: References,
    *,
    task: str,
    by: RowField | None = None,
    keep: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Trial:
    """Ask every question and score the answers.

    Args:
        questions: All of one task.
        engine: Answers them; nobody else may use it meanwhile, or the time is not its own.
        config: Of the engine's model.
        references: Of captions.
        task: Of all questions.
        by: Rows are also told apart by the value they have there.
        keep: Answers to return.
        progress: Is told the questions answered so far.

    Raises:
        ConfigError: There is no question, or no caption has references.
    """
    tally, seconds, processor = _Tally(config, references, by, task), 0.0, 0.0
    answers: list[tuple[Question, RowResult]] = []
    for chunk in _chunks(questions):
        began, processor_began = time.perf_counter(), time.process_time()
        results = engine.submit([question.row for question in chunk]).result()
        seconds += time.perf_counter() - began
        processor += time.process_time() - processor_began
        pairs = list(zip(chunk, results, strict=True))
        for question, result in pairs:
            tally.add(question, result)
        answers += pairs[: max(0, keep - len(answers))]
        progress(tally.rows)
    return tally.trial(seconds, processor, answers)


def _chunks(questions: Iterable[Question]) -> Iterator[list[Question]]:
    rest = iter(questions)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


@dataclass
class _Sums:
    depths: Depths
    executed: int = 0
    full: int = 0


class _Tally:
    """Takes answers one by one."""

    def __init__(self, config: ModelConfig, references: References, by: RowField | None, task: str) -> None:
        self._config, self._references, self._by = config, references, by
        self._captions = CaptionScorer()
        self._answers = AnswerScorer(task)
        self._sums: dict[str, _Sums] = {}
        self.rows = self._failed = self._without_references = 0

    def add(self, question: Question, result: RowResult) -> None:
        """Count one answer."""
        self.rows += 1
        group = group_name(self._by, question.members) if self._by else ""
        if question.gold is not None:
            self._answers.add(question.gold, label=result.label, text=result.text, group=group)
        if result.trace is None:
            self._failed += 1
            return
        sums = self._sums.setdefault(group, _Sums(Depths()))
        trace, flops = result.trace, costs.row_flops(self._config, result.trace)
        layers = {"image": trace.image, "text": trace.text, "decoder": list(trace.decoder)}
        sums.depths.add({f"{stream}_layers_run": run for stream, run in layers.items()})
        sums.executed += flops.executed
        sums.full += flops.full_same_length
        if question.gold is None:
            texts = self._references.of(question.row.uid, question.key, question.members)
            self._without_references += not texts
            if texts:
                words = tokenise(result.text or "")
                self._captions.add(words, [tokenise(text) for text in texts], group=group)

    def trial(self, seconds: float, processor_s: float, answers: list[tuple[Question, RowResult]]) -> Trial:
        """Return all scores; raise `ConfigError` saying why there are none."""
        if not self.rows:
            raise ConfigError("no question to ask: the shards hold no image that can be read, or nothing to ask of it")
        if not self._sums:
            raise ConfigError(f"the model gave no answer to any of {self.rows:,} questions")
        scored = self._answers.scores()
        if scored is None and not len(self._captions):
            raise ConfigError(f"no references found in {self.rows:,} rows: {self._references.missing()}")
        captions = self._captions.scores_by_group() if len(self._captions) else {}
        whole = _Sums(Depths())
        for sums in self._sums.values():
            whole.depths.merge(sums.depths)
            whole.executed += sums.executed
            whole.full += sums.full
        everything = _scores(whole, self._captions.scores() if len(self._captions) else None, scored)
        by_group = self._answers.scores_by_group()
        groups = {
            group: _scores(sums, captions.get(group), by_group.get(group))
            for group, sums in sorted(self._sums.items(), key=lambda item: group_order(item[0]))
        }
        return Trial(
            all=everything,
            groups=groups if self._by else {},
            failed=self._failed,
            without_references=self._without_references,
            model_s=seconds,
            processor_s=processor_s,
            answers=answers,
        )


def _scores(sums: _Sums, captions: CaptionScores | None, answers: AnswerScores | None) -> TrialScores:
    return TrialScores(
        rows=sums.depths.rows,
        captions=captions,
        answers=answers,
        depths=sums.depths,
        flops_executed=sums.executed,
        flops_full_same_length=sums.full,
    )
