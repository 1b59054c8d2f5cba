"""One batch of rows through encoder and decoder, and the account of what was executed for each."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mue_model import costs
from mue_model.config import BatchPolicy, GenerationConfig, KvPolicy, ModelConfig
from mue_model.engine.decode import BatchDecoder, DecodedRow
from mue_model.engine.encode import EncodedBatch, PromptCache, encode_rows
from mue_model.engine.tables import Geometry, TableStore
from mue_model.exits import ExitPolicy
from mue_model.grid import grid_of
from mue_model.model import MueModel
from mue_model.rows import ExitTrace, RowError, RowInput, RowResult


def geometry_of(row: RowInput) -> Geometry:
    """Return the geometry of a row; only rows of one geometry share a batch."""
    return Geometry(grid_of(*row.pixels.shape[:2]), len(row.prompt_ids))


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

    @torch.inference_mode()
    def run(self, rows: Sequence[RowInput]) -> list[RowResult]:
        """Return one result per row, in order. All rows have the same geometry."""
        geometry = geometry_of(rows[0])
        spent_before = self._tables.flops_spent
        tables = self._tables.get(geometry)
        tables_flops = self._tables.flops_spent - spent_before
        encoded = encode_rows(self.model, rows, geometry, tables, self._prompts, self.exit_policy, self.batch_policy)
        decoder = BatchDecoder(
            self.model,
            encoded.memory,
            tables,
            [row.uid for row in rows],
            self.exit_policy,
            self.generation,
            self.kv_policy,
            self.batch_policy,
        )
        decoded = decoder.decode()
        return [
            self._result(row.uid, number, geometry, encoded, decoded[number], tables_flops if number == 0 else 0)
            for number, row in enumerate(rows)
        ]

    def _result(
        self, uid: str, number: int, geometry: Geometry, encoded: EncodedBatch, row: DecodedRow, tables_flops: int
    ) -> RowResult:
        """Assemble the result of one row; `tables_flops` were spent on tables that this row asked for first."""
        trace = ExitTrace(
            grid=geometry.grid,
            prompt_tokens=geometry.prompt_tokens,
            image=int(encoded.image.layers_run[number]),
            text=int(encoded.text.layers_run[number]),
            decoder=tuple(row.depths),
            checks=(
                int(encoded.image.checks[number]),
                0 if encoded.text is encoded.image else int(encoded.text.checks[number]),
                row.checks,
            ),
            kv_fills=row.kv_fills,
            cross_kv_layers=max(row.depths),
            kv_policy=self.kv_policy,
        )
        config = self.model.config
        regions = costs.row_flops(config, trace).regions
        # Tables are shared: a row saves its own, and the row that asked first pays for what was really built.
        tables_balance = tables_flops - regions.positions
        reused = max(0, -tables_balance) + (regions.text_layers if encoded.text_reused[number] else 0)
        padding = max(0, tables_balance) + _padding_flops(config, geometry, encoded, row, number)
        error = None if row.finite else RowError(code="nonfinite", message=f"step {len(row.tokens)}: logits not finite")
        return RowResult(
            uid=uid,
            tokens=tuple(row.tokens) if row.finite else (),
            finish_reason="none" if error else "stop" if row.stopped else "length",
            trace=None if error else trace,
            error=error,
            flops_reused=reused,
            flops_padding=padding,
        )


def _padding_flops(config: ModelConfig, geometry: Geometry, encoded: EncodedBatch, row: DecodedRow, number: int) -> int:
    """FLOPs of layers that ran with the row in the batch after the row had exited (wait_all)."""
    image_tokens = geometry.memory if encoded.text is encoded.image else geometry.patches
    padding = encoded.image.extra_layers(number) * costs.encoder_layer_flops(config, image_tokens)
    if encoded.text is not encoded.image:
        padding += encoded.text.extra_layers(number) * costs.encoder_layer_flops(config, geometry.prompt_tokens)
    for step, (depth, computed) in enumerate(zip(row.depths, row.computed, strict=True)):
        padding += (computed - depth) * costs.decoder_layer_flops(config, step + 1, geometry.memory)
    return padding
