"""The encoder of the dense engine: streams of many rows, regrouped at every layer where one may settle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mue_model.engine.attention import to_device
from mue_model.engine.flight import Flight
from mue_model.engine.scheduler import Scheduler, Stage
from mue_model.engine.streams import Lane, Shape, StreamStore
from mue_model.engine.stretches import Stretch, checked_at, stretches_of
from mue_model.exits import ExitPolicy, sharing_class
from mue_model.exits import Stage as StreamKind
from mue_model.grid import grid_of
from mue_model.model import MueModel
from mue_model.rows import RowInput

ENCODER = 0
"""The region's number."""
STEM = 0
"""Place of the stem; the first stretch of layers has place 1."""
KEPT_PROMPTS = 64
"""Prompts that no row needs at the moment, but the next one may."""


@dataclass(eq=False)
class _Stream:
    """A stream that has not settled, or that rows still need."""

    store: StreamStore
    slot: int
    key: object
    """What another row must have in common to share it; None for no sharing."""
    row: RowInput
    """The first row that needed it."""
    waiting: list[Flight] = field(default_factory=list)
    settled: bool = False


class EncoderRegion:
    """Takes flights in and hands them to `ready` when all their streams have settled."""

    def __init__(
        self,
        model: MueModel,
        scheduler: Scheduler,
        exit_policy: ExitPolicy,
        max_steps: int,
        sizes: dict[StreamKind, int],
        ready: Callable[[Flight], None],
    ) -> None:
        self.model, self.scheduler, self.exit_policy = model, scheduler, exit_policy
        kinds: Sequence[StreamKind] = ("joint",) if model.config.streams == "joint" else ("image", "text")
        self.stores = {kind: StreamStore(model, kind, max_steps) for kind in kinds}
        self.main = self.stores[kinds[0]]
        """Image streams, or joint ones."""
        self.text = self.stores.get("text")
        self.in_flight = 0
        """Streams that have not settled."""
        self._lanes_used = Counter[int]()
        """The same by lane."""
        self._checked = {kind: checked_at(exit_policy, kind, model.config.encoder_layers) for kind in kinds}
        self._stretches = {kind: stretches_of(self._checked[kind]) for kind in kinds}
        self._sizes, self._ready = sizes, ready
        self._lanes: list[tuple[StreamStore, Lane]] = []
        self._lane_numbers: dict[tuple[str, Shape], int] = {}
        self._streams: dict[tuple[str, int], _Stream] = {}
        self._by_key: dict[object, _Stream] = {}
        self._idle_prompts: dict[object, _Stream] = {}

    def stage_sizes(self) -> list[int]:
        """Return the group sizes of all stages that streams in flight pass; before the first one, those of a main one.

        Streams of other lanes fill no group together, so every lane that is in use has stages of its own.
        """
        kinds = [self._lanes[lane][0].kind for lane in self._lanes_used] or [self.main.kind]
        return [size for kind in kinds for size in [self._sizes[kind]] * self._stages(kind)]

    def _stages(self, kind: StreamKind) -> int:
        return len(self._stretches[kind]) + (kind == self.main.kind)

    def admit(self, flight: Flight) -> None:
        """Let the streams of a row wait for their first group, or attach it to those that others brought."""
        row = flight.row
        flight.grid = grid_of(*row.pixels.shape[:2])
        if self.text is None:
            stream = self._stream(self.main, Shape(flight.grid, len(row.prompt_ids)), None, flight)
            flight.image = stream.slot
        else:
            image = self._stream(self.main, Shape(flight.grid, 0), row.image_key or None, flight)
            flight.image, flight.shares_image = image.slot, image.row is not row  # known if the prompt is at fault
            text = self._stream(self.text, Shape(None, len(row.prompt_ids)), row.prompt_ids, flight)
            flight.text, flight.shares_text = text.slot, text.row is not row
        if not flight.pending:
            self._ready(flight)

    def _stream(self, store: StreamStore, shape: Shape, key: object, flight: Flight) -> _Stream:
        shared_by = sharing_class(self.exit_policy, flight.row.uid)
        key = (store.kind, shared_by, key) if key is not None and shared_by is not None else None
        stream = self._by_key.get(key) if key else None
        if stream is None:
            stream = self._open(store, shape, key, flight)
        self._idle_prompts.pop(key, None)
        store.users[stream.slot] += 1
        if not stream.settled:
            stream.waiting.append(flight)
            flight.pending += 1
        return stream

    def _open(self, store: StreamStore, shape: Shape, key: object, flight: Flight) -> _Stream:
        lane, spent = store.open_lane(shape)
        flight.tables_flops += spent
        slot = store.take(lane)
        stream = _Stream(store, slot, key, flight.row)
        self._streams[store.kind, slot] = stream
        if key:
            self._by_key[key] = stream
        number = self._lane(store, lane)
        self.scheduler.push(Stage(ENCODER, 1 if store is self.text else STEM, number), [slot])
        self.in_flight += 1
        self._lanes_used[number] += 1
        return stream

    def _lane(self, store: StreamStore, lane: Lane) -> int:
        """Return the scheduler's number of a lane of a store; a new one is opened."""
        name = (store.kind, lane.shape)
        if name not in self._lane_numbers:
            number = self._lane_numbers[name] = len(self._lanes)
            self._lanes.append((store, lane))
            for place in range(1 + len(self._stretches[store.kind])):
                self.scheduler.open(Stage(ENCODER, place, number), self._sizes[store.kind])
        return self._lane_numbers[name]

    def run(self, stage: Stage, slots: list[int]) -> None:
        """Take a group of streams to where they part; nothing is kept if this raises."""
        store, lane = self._lanes[stage.lane]
        streams = [self._streams[store.kind, slot] for slot in slots]
        index = np.array(slots)
        if stage.place == STEM:
            store.write(index, self._embed_images(streams))
            self.scheduler.push(stage._replace(place=1), slots)
            return
        stretch = self._stretches[store.kind][stage.place - 1]
        state = self._first_state(store, lane, stretch, streams, index)
        for layer in range(*stretch):
            before, state = state, self.model.encoder_layer(layer)(state, lane.biases[layer])
        leaves = self._decide(store, stretch.end - 1, streams, before, state)
        goes, stays = np.flatnonzero(leaves), np.flatnonzero(~leaves)
        if len(goes):
            store.write(index[goes], self.model.encoder.layer_norm(_some(state, goes)))
        if len(stays):
            store.write(index[stays], _some(state, stays))
            self.scheduler.push(stage._replace(place=stage.place + 1), index[stays].tolist())
        self._settle(store, index[goes], stretch.end)
        self._left(stage.lane, len(goes))

    def _embed_images(self, streams: Sequence[_Stream]) -> Tensor:
        model = self.model
        pixels = torch.from_numpy(np.stack([stream.row.pixels for stream in streams]))
        state = model.encoder.embed_image(model.normalise(pixels))
        return torch.cat([state, self._embed_prompts(streams)], dim=1) if self.text is None else state

    def _embed_prompts(self, streams: Sequence[_Stream]) -> Tensor:
        ids = torch.tensor([stream.row.prompt_ids for stream in streams], device=self.model.device)
        return self.model.encoder.embed_text(ids)

    def _first_state(
        self, store: StreamStore, lane: Lane, stretch: Stretch, streams: Sequence[_Stream], slots: np.ndarray
    ) -> Tensor:
        if store is self.text and stretch.first == 0:
            return self._embed_prompts(streams)
        return store.read(slots, lane.shape.tokens)

    def _decide(
        self, store: StreamStore, layer: int, streams: Sequence[_Stream], before: Tensor, after: Tensor
    ) -> np.ndarray:
        """Return bool [G]: who settles after `layer`."""
        if layer + 1 == self.model.config.encoder_layers:
            return np.ones(len(streams), dtype=bool)
        uids = [stream.row.uid for stream in streams]
        decided: np.ndarray = self.exit_policy.decide(store.kind, layer, 0, uids, before, after).cpu().numpy()
        return decided

    def _settle(self, store: StreamStore, slots: np.ndarray, layers_run: int) -> None:
        """Streams have become memory: hand on the rows that have waited for the last of theirs."""
        store.layers_run[slots] = layers_run
        store.checks[slots] = self._checked[store.kind][:layers_run].sum()
        for slot in slots.tolist():
            stream = self._streams[store.kind, slot]
            stream.settled = True
            waiting, stream.waiting = stream.waiting, []
            for flight in waiting:
                flight.pending -= 1
                if not flight.pending:
                    self._ready(flight)
            if not store.users[slot]:
                self._idle(stream)

    def _left(self, lane: int, streams: int) -> None:
        """Count streams that are no longer on their way."""
        self.in_flight -= streams
        self._lanes_used[lane] -= streams
        if not self._lanes_used[lane]:
            del self._lanes_used[lane]

    def fail(self, stage: Stage, slot: int) -> list[Flight]:
        """Give up a stream that is not waiting anywhere; return the rows that needed it."""
        store = self._lanes[stage.lane][0]
        stream = self._streams.pop((store.kind, slot))
        self._left(stage.lane, 1)
        if stream.key:
            self._by_key.pop(stream.key, None)
        store.release(slot)
        for flight in stream.waiting:
            if stream.store is self.text:
                flight.text = -1
            else:
                flight.image = -1
        return stream.waiting

    def leave(self, flight: Flight) -> None:
        """A row needs its streams no more; those that no other row needs make room, once they have settled."""
        for store, slot in ((self.main, flight.image), (self.text, flight.text)):
            if store is None or slot < 0:
                continue
            stream = self._streams[store.kind, slot]
            store.users[slot] -= 1
            if flight in stream.waiting:
                stream.waiting.remove(flight)
            if not store.users[slot] and stream.settled:
                self._idle(stream)

    def _idle(self, stream: _Stream) -> None:
        """Keep a prompt that nobody needs for a while; forget any other stream."""
        if stream.store is self.text and stream.key:
            self._idle_prompts[stream.key] = stream
            if len(self._idle_prompts) <= KEPT_PROMPTS:
                return
            stream = self._idle_prompts.pop(next(iter(self._idle_prompts)))
        del self._streams[stream.store.kind, stream.slot]
        if stream.key:
            self._by_key.pop(stream.key, None)
        stream.store.release(stream.slot)


def _some(states: Tensor, places: np.ndarray) -> Tensor:
    """Return the states at `places` of a group."""
    return states if len(places) == len(states) else states[to_device(places, states)]
