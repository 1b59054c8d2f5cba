"""One batch of rows through encoder and decoder, and the account of what was executed for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from mue_model import costs
from mue_model.candidates import TargetShape, best_candidate, targets_of
from mue_model.config import BatchPolicy, GenerationConfig, KvPolicy
from mue_model.engine.account import with_account
from mue_model.engine.decode import BatchDecoder, DecodedRow, Stores
from mue_model.engine.encode import EncodedBatch, PromptCache, encode_rows
from mue_model.engine.score import ScoredRow, score_rows
from mue_model.engine.tables import Geometry, Tables, TableStore
from mue_model.exits import ExitPolicy, signal_of
from mue_model.grid import grid_of
from mue_model.model import MueModel
from mue_model.rows import ExitTrace, FinishReason, RowError, RowInput, RowResult


def geometry_of(row: RowInput) -> Geometry:
    """Return the geometry of a row; only rows of one geometry share a batch."""
    grid = grid_of(*row.pixels.shape[:2])
    targets = targets_of(row.prompt_ids, row.candidates).shape if row.candidates else None
    return Geometry(grid, len(row.prompt_ids), targets)


class BatchRunner:
    """Answers batches of rows of one geometry, exactly as `reference.run_row` answers each alone."""

    def __init__(
        self,
        model: MueModel,
        exit_policy: ExitPolicy,
        generation: GenerationConfig,
        kv_policy: KvPolicy = "propagate",
        batch_policy: BatchPolicy = "compact",
    ) -> None:
        self.model, self.exit_policy, self.generation = model, exit_policy, generation
        self.kv_policy, self.batch_policy = kv_policy, batch_policy
        self._tables = TableStore(model, generation.max_tokens)
        self._prompts = PromptCache()
        self._stores: Stores = {}

    @torch.inference_mode()
    def run(self, rows: Sequence[RowInput]) -> list[RowResult]:
        """Return one result per row, in order. All rows have the same geometry."""
        uids = tuple(row.uid for row in rows)
        geometry = geometry_of(rows[0])
        spent_before = self._tables.flops_spent
        tables = self._tables.get(geometry)
        spent = self._tables.flops_spent - spent_before
        encoded = encode_rows(self.model, rows, geometry, tables, self._prompts, self.exit_policy, self.batch_policy)
        if geometry.targets:
            answers = self._choose(rows, geometry, geometry.targets, tables, encoded)
        else:
            answers = self._generate(rows, geometry, tables, encoded)
        results = [
            with_account(
                self.model.config,
                result,
                tables_flops=0 if number else spent,
                shares_text=bool(encoded.text_reused[number]),
                padding=padding + encoded.padding(self.model.config, number),
            )
            for number, (result, padding) in enumerate(answers)
        ]
        return [replace(result, group_uids=uids) for result in results]

    def _generate(
        self, rows: Sequence[RowInput], geometry: Geometry, tables: Tables, encoded: EncodedBatch
    ) -> list[tuple[RowResult, int]]:
        """Decode every row; returns results and the FLOPs that ran in a row's place after its exits."""
        uids = [row.uid for row in rows]
        decoder = BatchDecoder(
            self.model,
            encoded.memory,
            tables,
            uids,
            self.exit_policy,
            self.generation,
            self.kv_policy,
            self.batch_policy,
            self._stores,
        )
        decoded = decoder.decode()
        if not all(row.finite for row in decoded):
            self._stores.clear()
        return [
            (self._generated(uid, row, encoded.trace(number)), self._padding(row, geometry))
            for number, (uid, row) in enumerate(zip(uids, decoded, strict=True))
        ]

    def _generated(self, uid: str, row: DecodedRow, trace: ExitTrace) -> RowResult:
        if not row.finite:
            return _nonfinite(uid, f"logits of step {len(row.tokens)}")
        trace = replace(
            trace,
            decoder=tuple(row.depths),
            checks=(*trace.checks[:2], row.checks),
            kv_fills=row.kv_fills,
            cross_kv_layers=max(row.depths),
            kv_policy=self.kv_policy,
            decoder_signal=signal_of(self.exit_policy, uid),
        )
        finish: FinishReason = "stop" if row.stopped else "length"
        return RowResult(uid=uid, tokens=tuple(row.tokens), finish_reason=finish, trace=trace)

    def _padding(self, row: DecodedRow, geometry: Geometry) -> int:
        return sum(
            (computed - depth) * costs.decoder_layer_flops(self.model.config, step + 1, geometry.memory)
            for step, (depth, computed) in enumerate(zip(row.depths, row.computed, strict=True))
        )

    def _choose(
        self, rows: Sequence[RowInput], geometry: Geometry, shape: TargetShape, tables: Tables, encoded: EncodedBatch
    ) -> list[tuple[RowResult, int]]:
        """Score every row's candidates; returns results and the FLOPs that ran in a row's place after its exit."""
        scored = score_rows(self.model, rows, encoded.memory, tables, shape, self.exit_policy, self.batch_policy)
        per_layer = shape.tokens * costs.decoder_layer_flops(self.model.config, shape.tokens, geometry.memory)
        return [
            (
                _chosen(row, result, shape, encoded.trace(number)),
                # wait_all also projects cross-attention keys and values for layers past the row's exit
                (result.computed - result.depth)
                * (per_layer + costs.cross_kv_flops(self.model.config, geometry.memory)),
            )
            for number, (row, result) in enumerate(zip(rows, scored, strict=True))
        ]


def _chosen(row: RowInput, scored: ScoredRow, shape: TargetShape, trace: ExitTrace) -> RowResult:
    if not all(math.isfinite(score) for score in scored.scores):
        return _nonfinite(row.uid, "candidate scores")
    trace = replace(
        trace,
        decoder=(scored.depth,),
        checks=(*trace.checks[:2], scored.checks),
        cross_kv_layers=scored.depth,
        candidates=len(row.candidates),
        target_length=shape.length,
        target_tokens=shape.tokens,
        scored_tokens=len(shape.branches),
    )
    best = best_candidate(row.candidates, scored.scores)
    return RowResult(
        uid=row.uid, label=best.label, tokens=best.ids, scores=scored.scores, finish_reason="candidate", trace=trace
    )


def _nonfinite(uid: str, what: str) -> RowResult:
    return RowResult(uid=uid, error=RowError(code="nonfinite", message=f"{what} are not finite"))
