"""Candidate scoring in the dense engine: all candidates of a row move together, rows are regrouped at every exit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mue_model import costs
from mue_model.candidates import TargetShape, best_candidate, targets_of
from mue_model.engine.flight import Flight, delivered
from mue_model.engine.scheduler import Scheduler, Stage
from mue_model.engine.score import ScoreTables, embed_targets, score_layer, scores_of
from mue_model.engine.slots import Slots
from mue_model.engine.streams import StreamStore
from mue_model.engine.stretches import checked_at, stretches_of
from mue_model.engine.tables import self_attention_biases
from mue_model.exits import ExitPolicy
from mue_model.layers import KeysValues
from mue_model.model import MueModel
from mue_model.rows import ExitTrace, RowError, RowResult

SCORES = 2
"""The region's number."""


@dataclass(eq=False)
class _Scored:
    """A row in the region."""

    flight: Flight
    state: Tensor
    """[S, C]"""
    depth: int = 0
    shared_kv: int = 0
    """(memory token, layer) pairs whose keys and values another row had projected."""


@dataclass(frozen=True)
class _Lane:
    """What rows of one group have in common."""

    number: int
    shape: TargetShape
    patches: int
    prompt_tokens: int
    tables: ScoreTables


class ScoreRegion:
    """Takes encoded flights in and hands each to `done` with its result."""

    def __init__(
        self,
        model: MueModel,
        scheduler: Scheduler,
        exit_policy: ExitPolicy,
        main: StreamStore,
        text: StreamStore | None,
        group_size: int,
        done: Callable[[Flight, RowResult], None],
    ) -> None:
        self.model, self.scheduler, self.exit_policy = model, scheduler, exit_policy
        self.main, self.text, self.group_size = main, text, group_size
        self._done = done
        self._checked = checked_at(exit_policy, "candidates", model.config.decoder_layers)
        self._stretches = stretches_of(self._checked)
        self._head = len(self._stretches)
        self._slots = Slots()
        self._rows: dict[int, _Scored] = {}
        self._lanes: dict[tuple[tuple[int, int], int, TargetShape], _Lane] = {}
        self._by_number: list[_Lane] = []

    def stage_sizes(self) -> list[int]:
        """Return the group sizes of all stages; rows of other lanes fill no group together."""
        return [self.group_size] * (self._head + 1) * max(1, len(self._by_number))

    @property
    def in_flight(self) -> int:
        """Rows in the region."""
        return len(self._rows)

    def admit(self, flight: Flight) -> None:
        """Let a row with candidates wait for its first group."""
        lane = self._lane(flight)
        slot = self._slots.take()
        if slot is None:
            self._slots.extend(2 * self._slots.capacity + 1)
            slot = self._slots.take()
        assert slot is not None
        self._rows[slot] = _Scored(flight, embed_targets(self.model, [flight.row])[0])
        flight.slot = slot
        self.scheduler.push(Stage(SCORES, 0, lane.number), [slot])

    def _lane(self, flight: Flight) -> _Lane:
        """Return the lane of a row; a new one is opened, and its tables are on the row's account."""
        row = flight.row
        shape = targets_of(row.prompt_ids, row.candidates).shape
        key = (flight.grid, len(row.prompt_ids), shape)
        if key not in self._lanes:
            model, decoder, encoder = self.model, self.model.decoder, self.model.encoder
            patches, prompt_tokens = flight.grid[0] * flight.grid[1], len(row.prompt_ids)
            positions = torch.cat([encoder.image_positions(flight.grid), encoder.text_positions(0, prompt_tokens)])
            steps = decoder.text_positions(0, shape.length)
            cross = decoder.cross_bias(steps, decoder.cross_pos_k_linear(positions))
            tables = ScoreTables.of(self_attention_biases(model, steps), cross, shape)
            flight.tables_flops += costs.memory_position_flops(model.config, len(positions))
            flight.tables_flops += costs.all_position_flops(model.config, len(positions), shape.length)
            lane = self._lanes[key] = _Lane(len(self._by_number), shape, patches, prompt_tokens, tables)
            self._by_number.append(lane)
            for place in range(self._head + 1):
                self.scheduler.open(Stage(SCORES, place, lane.number), self.group_size)
        return self._lanes[key]

    def run(self, stage: Stage, slots: list[int]) -> None:
        """Take a group of rows to where they part; nothing is kept if this raises."""
        rows, lane = [self._rows[slot] for slot in slots], self._by_number[stage.lane]
        if stage.place == self._head:
            self._score(lane, slots, rows)
            return
        stretch, state = self._stretches[stage.place], torch.stack([row.state for row in rows])
        shared = np.zeros(len(rows), dtype=np.int64)
        for layer in range(*stretch):
            memory, at_hand = self._memory(layer, lane, rows)
            before, state = state, score_layer(self.model, layer, lane.tables, state, memory)
            shared += at_hand
        leaves = self._decide(stretch.end - 1, lane.shape, rows, before, state)
        for row, own, pairs in zip(rows, state, shared.tolist(), strict=True):
            row.state, row.depth = own, stretch.end
            row.shared_kv += pairs
        for places, place in ((leaves, self._head), (~leaves, stage.place + 1)):
            moved = [slots[number] for number in np.flatnonzero(places).tolist()]
            self.scheduler.push(stage._replace(place=place), moved)

    def _memory(self, layer: int, lane: _Lane, rows: list[_Scored]) -> tuple[KeysValues, np.ndarray]:
        """Return the memory's keys and values at `layer`, and per row the tokens that another row had projected."""
        images = np.array([row.flight.image for row in rows])
        shared = self.main.bring(layer, images)
        if self.text is None:
            return self.main.keys_values(layer, images, lane.patches + lane.prompt_tokens), shared
        texts = np.array([row.flight.text for row in rows])
        shared = shared + self.text.bring(layer, texts)
        parts = zip(
            self.main.keys_values(layer, images, lane.patches),
            self.text.keys_values(layer, texts, lane.prompt_tokens),
            strict=True,
        )
        keys, values = (torch.cat(part, dim=2) for part in parts)
        return (keys, values), shared

    def _decide(self, layer: int, shape: TargetShape, rows: list[_Scored], before: Tensor, after: Tensor) -> np.ndarray:
        if layer + 1 == self.model.config.decoder_layers:
            return np.ones(len(rows), dtype=bool)
        uids = [row.flight.row.uid for row in rows]
        flat = shape.flattened(before), shape.flattened(after)
        decided = self.exit_policy.decide("candidates", layer, 0, uids, *flat)
        leaves: np.ndarray = decided.cpu().numpy()
        return leaves

    def _score(self, lane: _Lane, slots: list[int], rows: list[_Scored]) -> None:
        """One vocabulary projection for all tokens of the group that several may follow; its rows leave."""
        states, uids = torch.stack([row.state for row in rows]), tuple(row.flight.row.uid for row in rows)
        scores = scores_of(self.model, states, lane.shape, [row.flight.row.candidates for row in rows])
        for slot, row, own in zip(slots, rows, scores, strict=True):
            row.flight.neighbours = uids
            self.leave(slot)
            self._done(row.flight, self._result(lane, row, own))

    def _result(self, lane: _Lane, row: _Scored, scores: tuple[float, ...]) -> RowResult:
        flight, candidates = row.flight, row.flight.row.candidates
        if not all(math.isfinite(score) for score in scores):
            error = RowError(code="nonfinite", message="candidate scores are not finite")
            return RowResult(uid=flight.row.uid, error=error)
        text, text_slot = (self.text, flight.text) if self.text else (self.main, flight.image)
        trace = ExitTrace(
            grid=flight.grid,
            prompt_tokens=lane.prompt_tokens,
            image=int(self.main.layers_run[flight.image]),
            text=int(text.layers_run[text_slot]),
            decoder=(row.depth,),
            checks=(
                int(self.main.checks[flight.image]),
                int(text.checks[text_slot]) if self.text else 0,
                int(self._checked[: row.depth].sum()),
            ),
            kv_fills=0,
            cross_kv_layers=row.depth,
            candidates=len(candidates),
            target_length=lane.shape.length,
            target_tokens=lane.shape.tokens,
            scored_tokens=len(lane.shape.branches),
        )
        best = best_candidate(candidates, scores)
        result = RowResult(
            uid=flight.row.uid,
            label=best.label,
            tokens=best.ids,
            scores=scores,
            finish_reason="candidate",
            trace=trace,
        )
        return delivered(self.model.config, flight, result, row.shared_kv)

    def leave(self, slot: int) -> Flight:
        """Take a row, which waits nowhere, out of the region."""
        flight = self._rows.pop(slot).flight
        self._slots.give_back(slot)
        return flight
