"""The dense engine: rows of many calls, regrouped by where they are, so that almost every layer call is full.

The hot loop is `DenseRunner.step`: admit, take the next group, run it. Who decides is the scheduler, who holds are the
stores, who computes is the model, who judges is the exit policy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch

from mue_model.config import EngineConfig, GenerationConfig, KvPolicy
from mue_model.engine.backends import indexed_attention
from mue_model.engine.capacity import budget_bytes, row_bytes
from mue_model.engine.decoder_region import DECODER, DecoderRegion
from mue_model.engine.encoder_region import ENCODER, EncoderRegion
from mue_model.engine.flight import Flight
from mue_model.engine.runner import is_fatal, row_error
from mue_model.engine.scheduler import Scheduler, Stage, rows_for_full_groups
from mue_model.engine.score_region import SCORES, ScoreRegion
from mue_model.exits import ExitPolicy
from mue_model.exits import Stage as StreamKind
from mue_model.model import MueModel
from mue_model.rows import RowError, RowInput, RowResult

_REGIONS = {ENCODER: "encoder", DECODER: "decoder", SCORES: "scores"}
TOGETHER = 8
"""Rows that start decoding side by side, for their memory to be projected in one go: as many more are in flight."""


@dataclass(frozen=True)
class Occupancy:
    """How full the groups of some stages were."""

    groups: int
    rows: int
    places: int
    """Rows that the groups could have held."""

    @property
    def share(self) -> float:
        """Rows over places; 1 where nothing ran."""
        return self.rows / self.places if self.places else 1.0


class DenseRunner:
    """Answers rows exactly as `reference.run_row` answers each alone, whatever is in flight beside them."""

    def __init__(
        self,
        model: MueModel,
        exit_policy: ExitPolicy,
        generation: GenerationConfig,
        kv_policy: KvPolicy,
        config: EngineConfig,
    ) -> None:
        self.model, self.scheduler = model, Scheduler()
        sizes: dict[StreamKind, int] = {
            "image": config.image_group_size,
            "joint": config.image_group_size,
            "text": config.group_size,
        }
        with torch.inference_mode():
            self.encoder = EncoderRegion(
                model, self.scheduler, exit_policy, generation.max_tokens, sizes, self._take_encoded
            )
            streams = self.encoder.main, self.encoder.text
            attention = indexed_attention(config.attention, model)
            self.decoder = DecoderRegion(
                model, self.scheduler, exit_policy, generation, kv_policy, *streams,
                attention, config.group_size, self._deliver,
            )  # fmt: skip
            self.scores = ScoreRegion(
                model, self.scheduler, exit_policy, *streams, config.image_group_size, self._deliver
            )
        self._wanted = config.rows_in_flight or rows_for_full_groups(self.decoder.stage_sizes()) + TOGETHER
        self._budget = budget_bytes(config.memory_mib, model.device)
        self._steps = generation.max_tokens
        self._inside = 0
        self._encoded: deque[Flight] = deque()
        self._results: list[tuple[int, RowResult]] = []

    @property
    def rows_in_encoder(self) -> int:
        """W of the encoder: most streams that have not settled, and rows that wait for a slot behind it."""
        return rows_for_full_groups(self.encoder.stage_sizes())

    @property
    def rows_in_decoder(self) -> int:
        """W of the decoder, or as many rows as the memory can hold."""
        return self._held(self._wanted)

    @property
    def rows_in_scores(self) -> int:
        """W of candidate scoring, or as many rows as the memory can hold if none shares an image."""
        return self._held(rows_for_full_groups(self.scores.stage_sizes()))

    def _held(self, wanted: int) -> int:
        tokens = sum(store.tokens for store in self.encoder.stores.values())
        itemsize = self.decoder.store.state.element_size()
        each = row_bytes(self.model.config, tokens, self._steps, itemsize)
        return max(1, min(wanted, self._budget // each))

    @property
    def busy(self) -> bool:
        """Whether rows are inside."""
        return self._inside > 0

    def room(self) -> int:
        """Return how many rows may be admitted now. Rows that share a stream take the place of one."""
        return max(0, self.rows_in_encoder - self.encoder.in_flight - len(self._encoded))

    def rows_wanted(self, *, scored: bool) -> int:
        """Return W of both regions together."""
        return self.rows_in_encoder + (self.rows_in_scores if scored else self.rows_in_decoder)

    @torch.inference_mode()
    def admit(self, ticket: int, row: RowInput) -> None:
        """Take a row in; `step` gives its result back under the same ticket."""
        self._inside += 1
        flight, error = Flight(ticket, row), None
        try:
            self.encoder.admit(flight)
        except Exception as failure:
            if is_fatal(failure):
                raise
            error = row_error(failure)
        if error:
            self._deliver(flight, RowResult(uid=row.uid, error=error))

    @torch.inference_mode()
    def step(self, *, held_back: bool = False) -> list[tuple[int, RowResult]]:
        """Run one group; return the rows that it finished."""
        self._fill_decoder()
        group = self.scheduler.next_group(held_back=held_back)
        if group is not None:
            self._run(*group)
        results, self._results = self._results, []
        return results

    def _fill_decoder(self) -> None:
        """Give free slots to encoded rows, those first that came first."""
        if not self._encoded:
            return
        most = self.rows_in_decoder
        if self.decoder.in_flight > most - min(TOGETHER, most - 1):
            most = 0  # wait until several may start side by side
        waiting, self._encoded = self._encoded, deque()
        for flight in waiting:
            if flight.row.candidates and self.scores.in_flight < self.rows_in_scores:
                self.scores.admit(flight)
            elif not flight.row.candidates and self.decoder.in_flight < most:
                self.decoder.admit(flight)
            else:
                self._encoded.append(flight)

    def _run(self, stage: Stage, rows: list[int]) -> None:
        """Run a group; one that raises is halved until the row at fault is alone. Too large a group stays smaller."""
        error = None
        try:
            self._region(stage).run(stage, rows)
        except Exception as failure:
            if is_fatal(failure):
                raise
            error = row_error(failure)
        if error is None:
            return
        if len(rows) == 1:
            self._fail(stage, rows[0], error)
            return
        middle = len(rows) // 2
        if error.code == "out_of_memory":
            self.scheduler.open(stage, min(self.scheduler.size(stage), middle))
        self._run(stage, rows[:middle])
        self._run(stage, rows[middle:])

    def _region(self, stage: Stage) -> EncoderRegion | DecoderRegion | ScoreRegion:
        if stage.region == ENCODER:
            return self.encoder
        return self.decoder if stage.region == DECODER else self.scores

    def _fail(self, stage: Stage, row: int, error: RowError) -> None:
        """Give the row, or all rows that need the stream, the error."""
        if stage.region == ENCODER:
            flights = self.encoder.fail(stage, row)
        else:
            flights = [(self.decoder if stage.region == DECODER else self.scores).leave(row)]
        for flight in flights:
            self._deliver(flight, RowResult(uid=flight.row.uid, error=error))

    def _take_encoded(self, flight: Flight) -> None:
        self._encoded.append(flight)

    def _deliver(self, flight: Flight, result: RowResult) -> None:
        self._inside -= 1
        self.encoder.leave(flight)
        self._results.append((flight.ticket, result))

    def occupancy(self, region: int) -> Occupancy:
        """Return how full the groups of a region were so far."""
        runs = [run for stage, run in self.scheduler.runs().items() if stage.region == region]
        return Occupancy(*(sum(column) for column in zip(*runs, strict=True))) if runs else Occupancy(0, 0, 0)

    def occupancies(self) -> dict[str, float]:
        """Return how full the groups of each place were so far, as in `decoder 2`; lanes of a place together."""
        runs: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for stage, run in self.scheduler.runs().items():
            runs.setdefault((stage.region, stage.place), []).append(run)
        return {
            f"{_REGIONS[region]} {place}": Occupancy(*(sum(column) for column in zip(*found, strict=True))).share
            for (region, place), found in sorted(runs.items())
        }

    @property
    def bytes(self) -> int:
        """Bytes that the stores hold."""
        streams = sum(store.bytes for store in self.encoder.stores.values())
        return streams + self.decoder.store.bytes
