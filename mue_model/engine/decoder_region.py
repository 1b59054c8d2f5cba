"""The decoder of the dense engine: tokens of many rows, regrouped at every layer where one may stop.

A row's slot holds one token at a time. It passes the layers, leaves at its own, and waits for the head; the next token
starts at the first layer again. Keys and values stay where they are: a group is a list of slots.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mue_model import costs
from mue_model.config import GenerationConfig, KvPolicy
from mue_model.decoding import greedy_tokens
from mue_model.engine.attention import IndexedAttention, Segment, to_device
from mue_model.engine.flight import Flight, with_account
from mue_model.engine.row_store import RowStore
from mue_model.engine.scheduler import Scheduler, Stage
from mue_model.engine.slots import grown_array
from mue_model.engine.streams import StreamStore
from mue_model.engine.stretches import checked_at, stretches_of
from mue_model.exits import ExitPolicy, decide_at
from mue_model.model import MueModel
from mue_model.rows import ExitTrace, RowError, RowResult

DECODER = 1
"""The region's number."""


class DecoderRegion:
    """Takes encoded flights in and hands each to `done` with its result."""

    def __init__(
        self,
        model: MueModel,
        scheduler: Scheduler,
        exit_policy: ExitPolicy,
        generation: GenerationConfig,
        kv_policy: KvPolicy,
        main: StreamStore,
        text: StreamStore | None,
        attention: IndexedAttention,
        group_size: int,
        done: Callable[[Flight, RowResult], None],
    ) -> None:
        self.model, self.scheduler, self.exit_policy = model, scheduler, exit_policy
        self.generation, self.kv_policy, self.attention = generation, kv_policy, attention
        self.main, self.text = main, text
        self.store = RowStore(model, generation, kv_policy)
        self._done = done
        layers = model.config.decoder_layers
        self._checked = checked_at(exit_policy, "decoder", layers, generation.max_tokens)
        self._stretches = stretches_of(self._checked)
        self._flights: dict[int, Flight] = {}
        self._images, self._texts = (np.zeros(0, dtype=np.int64) for _ in range(2))
        self._own_tables_flops = costs.own_table_flops(model.config, generation.max_tokens)
        self._start = model.embed_target(torch.tensor([[model.config.bos_token_id]], device=model.device))[0, 0]
        for place in range(len(self._stretches) + 1):
            scheduler.open(Stage(DECODER, place), group_size)
        self._head = len(self._stretches)
        """Place of the head, behind all stretches of layers."""

    def stage_sizes(self) -> list[int]:
        """Return the group sizes of all stages that a token passes."""
        return [self.scheduler.size(Stage(DECODER, place)) for place in range(self._head + 1)]

    @property
    def in_flight(self) -> int:
        """Rows in the region."""
        return len(self._flights)

    def admit(self, flight: Flight) -> None:
        """Give a row a slot and let its first token wait."""
        slot = flight.slot = self.store.take()
        if slot >= len(self._images):
            capacity = (self.store.slots.capacity,)
            self._images, self._texts = grown_array(self._images, capacity), grown_array(self._texts, capacity)
        self._flights[slot] = flight
        self._images[slot], self._texts[slot] = flight.image, flight.text
        self.store.state[slot] = self._start
        flight.tables_flops += self._own_tables_flops
        self._own_tables_flops = 0
        self.scheduler.push(Stage(DECODER, 0), [slot])

    def run(self, stage: Stage, rows: list[int]) -> None:
        """Take a group of tokens to where they part; doing it again after it raised changes nothing."""
        slots = np.array(rows)
        if stage.place == self._head:
            self._run_head(slots)
        else:
            self._run_layers(stage.place, slots)

    def _run_layers(self, place: int, slots: np.ndarray) -> None:
        store, stretch = self.store, self._stretches[place]
        steps, index = store.step[slots], to_device(slots, store.state)
        state = store.state.index_select(0, index)[:, None]
        for layer in range(*stretch):
            before, state = state, self._run_layer(layer, slots, steps, state)
        leaves = self._decide(stretch.end - 1, slots, steps, before, state)
        state = state[:, 0]
        if not leaves.all():
            stays = ~leaves
            if leaves.any():
                chosen = to_device(np.flatnonzero(stays), state)
                store.state.index_copy_(0, index[chosen], state[chosen])
                state = state[to_device(np.flatnonzero(leaves), state)]
            else:
                store.state.index_copy_(0, index, state)
            self.scheduler.push(Stage(DECODER, place + 1), slots[stays].tolist())
            slots, steps = slots[leaves], steps[leaves]
        if len(slots):
            lines = to_device(slots * store.steps + steps, state)
            store.exits.view(-1, state.shape[1]).index_copy_(0, lines, state)
            store.depths[slots, steps] = stretch.end
            self.scheduler.push(Stage(DECODER, self._head), slots.tolist())

    def _run_layer(self, layer: int, slots: np.ndarray, steps: np.ndarray, state: Tensor) -> Tensor:
        """One decoder layer for one token of each row, with whatever keys and values it still lacks."""
        module, store = self.model.decoder_layer(layer), self.store
        segments = self._memory(layer, slots)
        if self.kv_policy == "propagate":
            self._fill_skipped(layer, slots, steps)
        store.hold(layer, slots, steps, *module.self_keys_values(state))
        own = store.own_keys(layer, slots, steps)
        return module(
            state,
            lambda queries: self.attention.own(queries, own),
            lambda queries: self.attention.cross(queries, steps, segments),
        )

    def _memory(self, layer: int, slots: np.ndarray) -> tuple[Segment, ...]:
        """Return the memory of each row at `layer`, projected where no token of any row has reached it before."""
        store = self.store
        fresh = slots[store.cross_layers[slots] <= layer]
        pairs = [(self.main, self._images)] + ([(self.text, self._texts)] if self.text else [])
        if len(fresh):
            for streams, of_slot in pairs:
                own, first = np.unique(of_slot[fresh], return_index=True)
                lacking = streams.lacking(layer, own)
                if lacking.any():
                    streams.project(layer, own[lacking])
                shares = np.ones(len(fresh), dtype=bool)
                shares[first[lacking]] = False
                if shares.any():
                    lanes = streams.lane[of_slot[fresh[shares]]]
                    store.shared_kv[fresh[shares]] += streams.lane_tokens[lanes]
            store.cross_layers[fresh] = layer + 1
        return tuple(streams.segment(layer, of_slot[slots]) for streams, of_slot in pairs)

    def _fill_skipped(self, layer: int, slots: np.ndarray, steps: np.ndarray) -> None:
        """Project, in one dense call, all earlier tokens that skipped this layer, from their exit states."""
        store = self.store
        owners, places = store.skipped(layer, slots, steps)
        if not len(owners):
            return
        width = store.state.shape[1]
        states = store.exits.view(-1, width)[to_device(owners * store.steps + places, store.exits)]
        keys, values = self.model.decoder_layer(layer).self_keys_values(states[:, None])
        store.hold(layer, owners, places, keys, values)
        store.held[layer, slots] = steps
        store.kv_fills += np.bincount(owners, minlength=len(store.kv_fills))

    def _decide(self, layer: int, slots: np.ndarray, steps: np.ndarray, before: Tensor, after: Tensor) -> np.ndarray:
        """Return bool [G]: whose token leaves after `layer`."""
        if layer + 1 == self.model.config.decoder_layers:
            return np.ones(len(slots), dtype=bool)
        checked = self._checked[layer, steps]
        uids = [self._flights[slot].row.uid for slot in slots.tolist()]
        decided = decide_at(self.exit_policy, "decoder", layer, steps.tolist(), uids, before, after).cpu().numpy()
        self.store.checks[slots] += checked
        leaves: np.ndarray = decided & checked
        return leaves

    def _run_head(self, slots: np.ndarray) -> None:
        """Choose the next token of each row; rows that have ended leave."""
        store, config = self.store, self.model.config
        steps, width = store.step[slots], store.state.shape[1]
        lines = to_device(slots * store.steps + steps, store.exits)
        logits = self.model.logits(store.exits.view(-1, width).index_select(0, lines)[:, None])[:, 0]
        finite = logits.sum(dim=1, dtype=torch.promote_types(logits.dtype, torch.float32)).isfinite().cpu().numpy()
        tokens = np.array(greedy_tokens(logits, self._histories(slots, steps), self.generation, config))
        goes_on = finite & (tokens != config.eos_token_id) & (steps + 1 < store.steps)
        going = slots[goes_on]
        if len(going):
            ids = torch.from_numpy(tokens[goes_on]).to(self.model.device)
            store.state.index_copy_(0, to_device(going, store.state), self.model.embed_target(ids[:, None])[:, 0])
        store.tokens[slots, steps] = tokens
        store.step[going] += 1
        self.scheduler.push(Stage(DECODER, 0), going.tolist())
        self._note_neighbours(slots[steps == 0], slots)
        for place in np.flatnonzero(~goes_on).tolist():
            self._finish(int(slots[place]), int(steps[place]) + 1, bool(finite[place]))

    def _histories(self, slots: np.ndarray, steps: np.ndarray) -> list[list[int]]:
        """Return each row's tokens so far, if anything depends on them."""
        if not self.generation.no_repeat_ngram:
            return [[] for _ in range(len(slots))]
        return [self.store.tokens[slot, :step].tolist() for slot, step in zip(slots, steps, strict=True)]

    def _note_neighbours(self, fresh: np.ndarray, slots: np.ndarray) -> None:
        if len(fresh):
            uids = tuple(self._flights[slot].row.uid for slot in slots.tolist())
            for slot in fresh.tolist():
                self._flights[slot].neighbours = uids

    def _finish(self, slot: int, length: int, finite: bool) -> None:
        """Give a row its result and its slot to the next one."""
        flight = self.leave(slot)
        if not finite:
            error = RowError(code="nonfinite", message=f"logits of step {length} are not finite")
            self._done(flight, RowResult(uid=flight.row.uid, error=error))
            return
        store, main = self.store, self.main
        tokens = tuple(store.tokens[slot, :length].tolist())
        text = self.text or main
        trace = ExitTrace(
            grid=flight.grid,
            prompt_tokens=len(flight.row.prompt_ids),
            image=int(main.layers_run[flight.image]),
            text=int(text.layers_run[flight.text if self.text else flight.image]),
            decoder=tuple(store.depths[slot, :length].tolist()),
            checks=(
                int(main.checks[flight.image]),
                int(self.text.checks[flight.text]) if self.text else 0,
                int(store.checks[slot]),
            ),
            kv_fills=int(store.kv_fills[slot]),
            cross_kv_layers=int(store.cross_layers[slot]),
            kv_policy=self.kv_policy,
        )
        stopped = tokens[-1] == self.model.config.eos_token_id
        result = RowResult(
            uid=flight.row.uid, tokens=tokens, finish_reason="stop" if stopped else "length", trace=trace
        )
        self._done(flight, with_account(self.model.config, flight, result, int(store.shared_kv[slot])))

    def leave(self, slot: int) -> Flight:
        """Take a row, which waits nowhere, out of the region."""
        flight = self._flights.pop(slot)
        self.store.slots.give_back(slot)
        return flight
