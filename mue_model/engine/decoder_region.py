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
from mue_model.beams import BeamSearch
from mue_model.config import GenerationConfig, KvPolicy
from mue_model.decoding import advance_beams, greedy_tokens
from mue_model.engine.attention import IndexedAttention, Segment, to_device
from mue_model.engine.flight import Flight, delivered
from mue_model.engine.row_store import RowStore
from mue_model.engine.scheduler import Scheduler, Stage
from mue_model.engine.slots import grown_array
from mue_model.engine.streams import StreamStore
from mue_model.engine.stretches import checked_at, stretches_of
from mue_model.exits import ExitPolicy, decide_tokens, signal_of
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
        self._layers = [model.decoder_layer(layer) for layer in range(layers)]
        self._checked = checked_at(exit_policy, "decoder", layers, generation.max_tokens)
        self._checks = self._checked.cumsum(axis=0)
        """[L, S]: checks of a token that has run so many layers, the first row one."""
        self._stretches = stretches_of(self._checked)
        self._flights: dict[int, Flight] = {}
        self._searches: dict[int, BeamSearch] = {}
        """Of each row, if there are several beams."""
        self._images, self._texts = (np.zeros(0, dtype=np.int64) for _ in range(2))
        self._own_tables_flops = costs.own_table_flops(model.config, generation.max_tokens)
        self._start = model.embed_target(torch.tensor([[model.config.bos_token_id]], device=model.device))[0, 0]
        for place in range(len(self._stretches) + 1):
            scheduler.open(Stage(DECODER, place), max(1, group_size // generation.beams))
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
        beams = self.store.beams
        self.store.state[slot * beams : (slot + 1) * beams] = self._start
        if beams > 1:
            self._searches[slot] = BeamSearch(beams, self.store.steps, self.model.config.eos_token_id)
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
        steps = store.step[slots]
        state = store.state.index_select(0, to_device(store.lines(slots), store.state))[:, None]
        for layer in range(*stretch):
            before, state = state, self._run_layer(layer, slots, steps, state)
        leaves, logits = self._decide(stretch.end - 1, slots, steps, before, state)
        state = state[:, 0]
        goes, stays = np.flatnonzero(leaves), np.flatnonzero(~leaves)
        if len(goes):
            leaving, kept = self._some(state, slots, goes)
            store.leave_layers(leaving, steps[goes], stretch.end, kept)
            if logits is None:
                self.scheduler.push(Stage(DECODER, self._head), leaving.tolist())
            else:
                self._take_tokens(leaving, logits)
        if len(stays):  # last: taking tokens may raise, and then the whole group runs again
            moving, kept = self._some(state, slots, stays)
            store.state.index_copy_(0, to_device(store.lines(moving), state), kept)
            self.scheduler.push(Stage(DECODER, place + 1), moving.tolist())

    def _some(self, state: Tensor, slots: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, Tensor]:
        """Return the slots at `places` of a group, and their states."""
        if len(places) == len(slots):
            return slots, state
        return slots[places], state[to_device(self.store.lines(places), state)]

    def _run_layer(self, layer: int, slots: np.ndarray, steps: np.ndarray, state: Tensor) -> Tensor:
        """One decoder layer for one token of each beam, with whatever keys and values it still lacks."""
        module, store = self._layers[layer], self.store
        memory = self._memory(layer, slots)
        if self.kv_policy != "holes":
            self._fill_skipped(layer, slots, steps)
        store.hold(layer, slots, steps)
        own, when = store.own_keys(layer, slots, steps), store.each_beam(steps)

        def attend_to_own(queries: Tensor, normed: Tensor) -> Tensor:
            return self.attention.own(queries, own, module.self_attn.keys_values(normed))

        return module(state, attend_to_own, lambda queries, _: self.attention.cross(queries, when, memory))

    def _memory(self, layer: int, slots: np.ndarray) -> tuple[Segment, ...]:
        """Return the memory of each row at `layer`, projected where no token of any row has reached it before."""
        store = self.store
        fresh = slots[store.cross_layers[slots] <= layer]
        if len(fresh):
            store.shared_kv[fresh] += self.main.bring(layer, self._images[fresh])
            if self.text:
                store.shared_kv[fresh] += self.text.bring(layer, self._texts[fresh])
            store.cross_layers[fresh] = layer + 1
        return self._segments(layer, slots)

    def _segments(self, layer: int, slots: np.ndarray) -> tuple[Segment, ...]:
        """Return the memory of each row's beams at `layer`, where it has been projected."""
        own = self.store.each_beam(slots)
        segments = [self.main.segment(layer, self._images[own])]
        if self.text:
            segments.append(self.text.segment(layer, self._texts[own]))
        return tuple(segments)

    def _fill_skipped(self, layer: int, slots: np.ndarray, steps: np.ndarray) -> None:
        """Project, in one dense call, all earlier tokens that skipped this layer."""
        store = self.store
        owners, places = store.skipped(layer, slots, steps)
        if not len(owners):
            return
        if self.kv_policy == "just_in_time":
            late = store.run_through[owners, places] < layer
            if late.any():
                self._catch_up(layer - 1, owners[late], places[late])
        states = store.exit_states(owners, places)[:, None]
        store.fill(layer, owners, places, *self._layers[layer].self_keys_values(states))

    def _catch_up(self, layer: int, slots: np.ndarray, steps: np.ndarray) -> None:
        """Run a layer for earlier tokens that skipped it; its keys and values were filled when the row reached it."""
        store, segments = self.store, self._segments(layer, slots)
        own, when = store.own_keys(layer, slots, steps), store.each_beam(steps)
        states = self._layers[layer](
            store.exit_states(slots, steps)[:, None],
            lambda queries, _: self.attention.own(queries, own),
            lambda queries, _: self.attention.cross(queries, when, segments),
        )
        cells = to_device(store.cells(slots, steps), states)
        store.exits.view(-1, states.shape[2]).index_copy_(0, cells, states[:, 0])
        store.run_through[slots, steps] = layer + 1

    def _decide(
        self, layer: int, slots: np.ndarray, steps: np.ndarray, before: Tensor, after: Tensor
    ) -> tuple[np.ndarray, Tensor | None]:
        """Return bool [G], whose token leaves after `layer`, and their logits [.., beams, V] if they are at hand."""
        if layer + 1 == self.model.config.decoder_layers:
            return np.ones(len(slots), dtype=bool), None
        leaves = np.zeros(len(slots), dtype=bool)
        asked = np.flatnonzero(self._checked[layer, steps])
        if not len(asked):
            return leaves, None
        uids = [self._flights[slot].row.uid for slot in slots[asked].tolist()]
        first, second = (
            self._some(state[:, 0], slots, asked)[1].view(len(asked), self.store.beams, -1) for state in (before, after)
        )
        decided, logits = decide_tokens(
            self.exit_policy, layer, steps[asked].tolist(), uids, first, second, self.model.logits
        )
        leaves[asked] = decided.cpu().numpy()
        return leaves, logits

    def _run_head(self, slots: np.ndarray) -> None:
        """Run the head for tokens that have left the layers without it."""
        states = self.store.exit_states(slots, self.store.step[slots])
        self._take_tokens(slots, self.model.logits(states[:, None]).view(len(slots), self.store.beams, -1))

    def _take_tokens(self, slots: np.ndarray, logits: Tensor) -> None:
        """Choose the next token of each beam by logits [G, beams, V]; rows that have ended leave."""
        store, model = self.store, self.model
        steps = store.step[slots]
        sums = logits.sum(dim=(1, 2), dtype=torch.promote_types(logits.dtype, torch.float32))
        finite = sums.isfinite().cpu().numpy()
        choose = self._choose_greedily if store.beams == 1 else self._choose_with_beams
        tokens, goes_on = choose(slots, steps, logits, finite)
        going = np.flatnonzero(goes_on)
        if len(going):
            ids = torch.from_numpy(tokens[going].ravel()).to(model.device)
            store.next_step(slots[going], model.embed_target(ids[:, None])[:, 0])
            self.scheduler.push(Stage(DECODER, 0), slots[going].tolist())
        self._note_neighbours(slots[steps == 0], slots)
        for place in np.flatnonzero(~goes_on).tolist():
            self._finish(int(slots[place]), int(steps[place]) + 1, bool(finite[place]))

    def _choose_greedily(
        self, slots: np.ndarray, steps: np.ndarray, logits: Tensor, finite: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the next tokens [G, 1] and bool [G]: who goes on."""
        store, config = self.store, self.model.config
        histories: list[list[int]] = [[]] * len(slots)
        if self.generation.no_repeat_ngram:
            histories = [store.tokens[slot, :step].tolist() for slot, step in zip(slots, steps, strict=True)]
        tokens = np.array(greedy_tokens(logits[:, 0], histories, self.generation, config, overwrite=True))
        store.tokens[slots, steps] = tokens
        return tokens[:, None], finite & (tokens != config.eos_token_id) & (steps + 1 < store.steps)

    def _choose_with_beams(
        self, slots: np.ndarray, steps: np.ndarray, logits: Tensor, finite: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the next tokens [G, beams] and bool [G]: who goes on."""
        store = self.store
        tokens, goes_on = np.zeros((len(slots), store.beams), dtype=np.int64), np.zeros(len(slots), dtype=bool)
        sound = np.flatnonzero(finite)
        searches = [self._searches[slot] for slot in slots[sound].tolist()]
        if not searches:
            return tokens, goes_on
        chosen = logits[to_device(sound, logits)]
        following = advance_beams(chosen, searches, self.generation, self.model.config)
        for place, search, parents in zip(sound.tolist(), searches, following, strict=True):
            store.reorder(int(slots[place]), parents, int(steps[place]) + 1)
            tokens[place] = [text[-1] for text in search.tokens]
            goes_on[place] = not search.done
        return tokens, goes_on

    def _note_neighbours(self, fresh: np.ndarray, slots: np.ndarray) -> None:
        if len(fresh):
            uids = tuple(self._flights[slot].row.uid for slot in slots.tolist())
            for slot in fresh.tolist():
                self._flights[slot].neighbours = uids

    def _finish(self, slot: int, length: int, finite: bool) -> None:
        """Give a row its result and its slot to the next one."""
        search = self._searches.get(slot)
        flight = self.leave(slot)
        if not finite:
            error = RowError(code="nonfinite", message=f"logits of step {length} are not finite")
            self._done(flight, RowResult(uid=flight.row.uid, error=error))
            return
        store, main = self.store, self.main
        tokens = search.best if search else tuple(store.tokens[slot, :length].tolist())
        text, depths = self.text or main, store.depths[slot, :length]
        trace = ExitTrace(
            grid=flight.grid,
            prompt_tokens=len(flight.row.prompt_ids),
            image=int(main.layers_run[flight.image]),
            text=int(text.layers_run[flight.text if self.text else flight.image]),
            decoder=tuple(depths.tolist()),
            checks=(
                int(main.checks[flight.image]),
                int(self.text.checks[flight.text]) if self.text else 0,
                int(self._checks[depths - 1, np.arange(length)].sum()),
            ),
            kv_fills=int(store.kv_fills[slot]),
            cross_kv_layers=int(store.cross_layers[slot]),
            kv_policy=self.kv_policy,
            decoder_signal=signal_of(self.exit_policy, flight.row.uid),
            beams=store.beams,
        )
        cut = len(tokens) == store.steps if search else tokens[-1] != self.model.config.eos_token_id
        result = RowResult(uid=flight.row.uid, tokens=tokens, finish_reason="length" if cut else "stop", trace=trace)
        self._done(flight, delivered(self.model.config, flight, result, int(store.shared_kv[slot])))

    def leave(self, slot: int) -> Flight:
        """Take a row, which waits nowhere, out of the region."""
        flight = self._flights.pop(slot)
        self._searches.pop(slot, None)
        self.store.slots.give_back(slot)
        return flight
