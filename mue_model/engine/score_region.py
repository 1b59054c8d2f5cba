"""Candidate scoring in the dense engine: all candidates of a row move together, rows are regrouped at every exit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mue_model.candidates import best_candidate, candidate_scores, scored_positions, target_ids, target_length
from mue_model.engine.attention import to_device
from mue_model.engine.flight import Flight, with_account
from mue_model.engine.scheduler import Scheduler, Stage
from mue_model.engine.score import ScoreLayer
from mue_model.engine.slots import Slots
from mue_model.engine.streams import StreamStore
from mue_model.engine.stretches import checked_at, stretches_of
from mue_model.engine.tables import Geometry, TableStore
from mue_model.exits import ExitPolicy
from mue_model.model import MueModel
from mue_model.rows import ExitTrace, RowError, RowResult

SCORES = 2
"""The region's number."""


@dataclass(eq=False)
class _Scored:
    """A row in the region."""

    flight: Flight
    state: Tensor
    """[K, U, C]"""
    present: Tensor
    """bool [K, U, 1]: false at padding."""
    depth: int = 0


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
        self._checked = checked_at(exit_policy, "decoder", model.config.decoder_layers)
        self._stretches = stretches_of(self._checked)
        self._head = len(self._stretches)
        self._slots = Slots()
        self._rows: dict[int, _Scored] = {}
        self._tables = TableStore(model, 1)
        self._lanes: dict[Geometry, int] = {}
        self._geometries: list[Geometry] = []

    def stage_sizes(self) -> list[int]:
        """Return the group sizes of all stages that a row passes."""
        return [self.group_size] * (self._head + 1)

    @property
    def in_flight(self) -> int:
        """Rows in the region."""
        return len(self._rows)

    def admit(self, flight: Flight) -> None:
        """Let a row with candidates wait for its first group."""
        row, config = flight.row, self.model.config
        geometry = Geometry(
            flight.grid, len(row.prompt_ids), len(row.candidates), target_length(row.prompt_ids, row.candidates)
        )
        if geometry not in self._lanes:
            lane = self._lanes[geometry] = len(self._geometries)
            self._geometries.append(geometry)
            for place in range(self._head + 1):
                self.scheduler.open(Stage(SCORES, place, lane), self.group_size)
        slot = self._slots.take()
        if slot is None:
            self._slots.extend(2 * self._slots.capacity + 1)
            slot = self._slots.take()
        assert slot is not None
        ids = target_ids(row.prompt_ids, row.candidates, config.pad_token_id).to(self.model.device)
        self._rows[slot] = _Scored(flight, self.model.embed_target(ids), (ids != config.pad_token_id)[:, :, None])
        flight.slot = slot
        self.scheduler.push(Stage(SCORES, 0, self._lanes[geometry]), [slot])

    def run(self, stage: Stage, slots: list[int]) -> None:
        """Take a group of rows to where they part; nothing is kept if this raises."""
        rows, geometry = [self._rows[slot] for slot in slots], self._geometries[stage.lane]
        if stage.place == self._head:
            self._score(geometry, slots, rows)
            return
        spent = self._tables.flops_spent
        tables = self._tables.get(geometry)
        rows[0].flight.tables_flops += self._tables.flops_spent - spent
        layers = ScoreLayer(self.model, tables, self._memory(geometry, rows), geometry.target_tokens)
        stretch, state = self._stretches[stage.place], torch.stack([row.state for row in rows])
        for layer in range(*stretch):
            before, state = state, layers(layer, state)
        leaves = self._decide(stretch.end - 1, rows, before, state)
        for row, own in zip(rows, state, strict=True):
            row.state, row.depth = own, stretch.end
        for places, place in ((leaves, self._head), (~leaves, stage.place + 1)):
            moved = [slots[number] for number in np.flatnonzero(places).tolist()]
            self.scheduler.push(stage._replace(place=place), moved)

    def _memory(self, geometry: Geometry, rows: list[_Scored]) -> Tensor:
        """Return the memory [G, M, C] of rows of one geometry."""
        images = np.array([row.flight.image for row in rows])
        if self.text is None:
            return self.main.read(images, geometry.memory)
        texts = np.array([row.flight.text for row in rows])
        parts = [self.main.read(images, geometry.patches), self.text.read(texts, geometry.prompt_tokens)]
        return torch.cat(parts, dim=1)

    def _decide(self, layer: int, rows: list[_Scored], before: Tensor, after: Tensor) -> np.ndarray:
        if layer + 1 == self.model.config.decoder_layers:
            return np.ones(len(rows), dtype=bool)
        present = torch.stack([row.present for row in rows])
        flat_before, flat_after = ((state * present).flatten(1, 2) for state in (before, after))
        uids = [row.flight.row.uid for row in rows]
        decided = self.exit_policy.decide("decoder", layer, 0, uids, flat_before, flat_after)
        leaves: np.ndarray = decided.cpu().numpy()
        return leaves

    def _score(self, geometry: Geometry, slots: list[int], rows: list[_Scored]) -> None:
        """One vocabulary projection for all scored positions of the group; its rows leave."""
        picked, counts = [], []
        for row in rows:
            places = scored_positions(row.flight.row.prompt_ids, row.flight.row.candidates)
            numbers = np.array(places).T
            picked.append(row.state[to_device(numbers[0], row.state), to_device(numbers[1], row.state)])
            counts.append(len(places))
        logits = self.model.logits(torch.cat(picked)[None])[0].split(counts)
        uids = tuple(row.flight.row.uid for row in rows)
        scores = [candidate_scores(part, row.flight.row.candidates) for part, row in zip(logits, rows, strict=True)]
        for slot, row, own in zip(slots, rows, scores, strict=True):
            row.flight.neighbours = uids
            self.leave(slot)
            self._done(row.flight, self._result(geometry, row, own))

    def _result(self, geometry: Geometry, row: _Scored, scores: tuple[float, ...]) -> RowResult:
        flight, candidates = row.flight, row.flight.row.candidates
        if not all(math.isfinite(score) for score in scores):
            error = RowError(code="nonfinite", message="candidate scores are not finite")
            return RowResult(uid=flight.row.uid, error=error)
        text, text_slot = (self.text, flight.text) if self.text else (self.main, flight.image)
        trace = ExitTrace(
            grid=flight.grid,
            prompt_tokens=geometry.prompt_tokens,
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
            candidates=geometry.candidates,
            target_tokens=geometry.target_tokens,
            scored_tokens=sum(len(candidate.ids) for candidate in candidates),
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
        return with_account(self.model.config, flight, result, 0)

    def leave(self, slot: int) -> Flight:
        """Take a row, which waits nowhere, out of the region."""
        flight = self._rows.pop(slot).flight
        self._slots.give_back(slot)
        return flight
