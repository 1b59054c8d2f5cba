"""Encoder and decoder of the engine on their own, for `engine.py`: the same rows through dense and static variants.

Every function returns the seconds that the work took and the rows' traces. Texts never end early, so that every variant
decodes as many tokens; a row's memory is its own, so that nothing is shared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mue_model.config import BatchPolicy, GenerationConfig, ModelConfig
from mue_model.engine.backends import indexed_attention
from mue_model.engine.decode import BatchDecoder, Stores
from mue_model.engine.decoder_region import DECODER, DecoderRegion
from mue_model.engine.dense import TOGETHER
from mue_model.engine.encode import settle
from mue_model.engine.encoder_region import ENCODER, EncoderRegion
from mue_model.engine.flight import Flight
from mue_model.engine.scheduler import Scheduler, Stage, rows_for_full_groups
from mue_model.engine.streams import Shape, StreamStore
from mue_model.engine.tables import Geometry, build_tables
from mue_model.exits import Depths, ExitPolicy, ScriptedExit
from mue_model.model import MueModel
from mue_model.rows import ExitTrace, RowInput, RowResult


@dataclass(frozen=True)
class Work:
    """Rows of one shape that a region is measured on."""

    model: MueModel
    grid: tuple[int, int]
    prompt_tokens: int
    steps: int
    rows: int

    @property
    def config(self) -> ModelConfig:
        """The model's."""
        return self.model.config

    @property
    def generation(self) -> GenerationConfig:
        """Greedy, as many tokens for every row."""
        return GenerationConfig(max_tokens=self.steps, no_repeat_ngram=0)

    def row(self, number: int) -> RowInput:
        """Return a row; the decoder never looks at its pixels."""
        pixels = np.zeros((self.grid[0] * 16, self.grid[1] * 16, 3), dtype=np.uint8)
        return RowInput(uid=str(number), pixels=pixels, prompt_ids=(0,) * self.prompt_tokens)

    def memory(self) -> Tensor:
        """Return a memory [rows, M, C] of noise."""
        generator = torch.Generator().manual_seed(0)
        tokens = self.grid[0] * self.grid[1] + self.prompt_tokens
        return torch.randn(self.rows, tokens, self.config.d_model, generator=generator)


@dataclass(frozen=True)
class Measured:
    """One variant, once."""

    seconds: float
    traces: list[ExitTrace]
    occupancy: float = 1.0
    bytes: int = 0
    """Of the stores."""
    net_flops: int = 0
    """Executed less reused plus padding, where whole rows were run."""


class ByImage(ScriptedExit):
    """Prescribes depths of images and tokens; all prompts are alike, and so may be encoded once."""

    row_dependent = False


def script(work: Work, kind: str, mean_share: float = 0.4) -> ScriptedExit:
    """Return drawn depths: `geometric` with a mean share of all layers, `two_point`, `deep` or `shallow`."""
    random = np.random.default_rng(1)

    def depths(layers: int, size: int) -> tuple[int, ...]:
        drawn = {
            "geometric": lambda: np.clip(random.geometric(1 / (mean_share * layers), size), 1, layers),
            "two_point": lambda: random.choice([1, layers], size),
            "deep": lambda: np.full(size, layers),
            "shallow": lambda: np.full(size, 1),
        }[kind]()
        return tuple(int(depth) for depth in drawn)

    layers = work.config.encoder_layers, work.config.decoder_layers
    return ByImage(
        {
            str(row): Depths(depths(layers[0], 1)[0], layers[0], depths(layers[1], work.steps))
            for row in range(work.rows)
        }
    )


class DenseDecoder:
    """The decoder region alone, fed with rows as slots become free; stores stay from call to call, as in an actor."""

    def __init__(self, work: Work, memory: Tensor, exits: ExitPolicy, group: int) -> None:
        self.work, self.memory = work, memory
        self.scheduler = Scheduler()
        self.results: dict[int, RowResult] = {}
        self.main, self.text = (StreamStore(work.model, kind, work.steps) for kind in ("image", "text"))
        self.lanes = (
            self.main.open_lane(Shape(work.grid, 0))[0],
            self.text.open_lane(Shape(None, work.prompt_tokens))[0],
        )
        attention = indexed_attention("auto", work.model)
        stores = self.scheduler, exits, work.generation, "propagate", self.main, self.text, attention
        self.region = DecoderRegion(work.model, *stores, group, self._done)  # type: ignore[arg-type]

    def _done(self, flight: Flight, result: RowResult) -> None:
        self.results[flight.ticket] = result
        self.main.release(flight.image)
        self.text.release(flight.text)

    @torch.inference_mode()
    def __call__(self) -> Measured:
        """Decode all rows."""
        work, region, coming = self.work, self.region, 0
        self.results.clear()
        most, before = rows_for_full_groups(region.stage_sizes()), self.scheduler.runs()
        began = time.perf_counter()
        while len(self.results) < work.rows:
            if coming < work.rows and region.in_flight <= most:
                fresh = range(coming, min(work.rows, coming + most + TOGETHER - region.in_flight))
                self._admit(fresh)
                coming = fresh.stop
            group = self.scheduler.next_group()
            assert group is not None
            region.run(*group)
        seconds = time.perf_counter() - began
        held = self.main.bytes + self.text.bytes + region.store.bytes
        return Measured(seconds, traces_of(self.results), occupancy(self.scheduler, DECODER, before), held)

    def _admit(self, numbers: range) -> None:
        flights = [
            Flight(number, self.work.row(number), self.work.grid, self.main.take(self.lanes[0]), text)
            for number in numbers
            for text in [self.text.take(self.lanes[1])]
        ]
        part, patches = self.memory[numbers.start : numbers.stop], self.work.grid[0] * self.work.grid[1]
        images, texts = (np.array([getattr(flight, name) for flight in flights]) for name in ("image", "text"))
        self.main.write(images, part[:, :patches])
        self.text.write(texts, part[:, patches:])
        self.main.layers_run[images] = self.text.layers_run[texts] = self.work.config.encoder_layers
        for flight in flights:
            self.region.admit(flight)


kept: dict[tuple[int, int], Stores] = {}
"""Keys and values of static batches, by work and batch size: they too are taken once, as an actor would."""


@torch.inference_mode()
def static_decoder(
    work: Work, memory: Tensor, exits: ExitPolicy, group: int, policy: BatchPolicy = "compact"
) -> Measured:
    """Batches from beginning to end; with `NeverExit`, plain full depth over contiguous keys and values."""
    tables = build_tables(work.model, Geometry(work.grid, work.prompt_tokens), work.steps)
    stores = kept.setdefault((id(work), group), {})
    began = time.perf_counter()
    for start in range(0, work.rows, group):
        uids = [str(number) for number in range(start, min(start + group, work.rows))]
        part = memory[start : start + group]
        BatchDecoder(work.model, part, tables, uids, exits, work.generation, "propagate", policy, stores).decode()
    return Measured(time.perf_counter() - began, [])


@torch.inference_mode()
def dense_encoder(work: Work, pixels: Sequence[np.ndarray], exits: ExitPolicy, group: int) -> Measured:
    """The encoder region alone, image streams only in effect: all rows have one prompt."""
    scheduler, ready = Scheduler(), list[Flight]()
    region = EncoderRegion(work.model, scheduler, exits, 1, {"image": group, "text": 64}, ready.append)
    most, coming, depths = rows_for_full_groups(region.stage_sizes()), 0, dict[int, int]()
    began = time.perf_counter()
    while len(depths) < work.rows:
        while coming < work.rows and region.in_flight < most:
            row = RowInput(uid=str(coming), pixels=pixels[coming], prompt_ids=(0, 5, 2))
            region.admit(Flight(coming, row))
            coming += 1
        region.run(*(scheduler.next_group() or ((), ())))
        for flight in ready:
            depths[flight.ticket] = int(region.main.layers_run[flight.image])
            region.leave(flight)
        ready.clear()
    seconds = time.perf_counter() - began
    traces = [
        ExitTrace(
            grid=work.grid,
            prompt_tokens=3,
            image=depths[number],
            text=work.config.encoder_layers,
            decoder=(),
            checks=(0, 0, 0),
            kv_fills=0,
            cross_kv_layers=0,
        )
        for number in range(work.rows)
    ]
    return Measured(seconds, traces, occupancy(scheduler, ENCODER), region.main.bytes)


@torch.inference_mode()
def static_encoder(
    work: Work, pixels: Sequence[np.ndarray], exits: ExitPolicy, group: int, policy: BatchPolicy = "compact"
) -> Measured:
    """The image streams in batches from beginning to end."""
    model, tables = work.model, build_tables(work.model, Geometry(work.grid, 3), 1)
    began = time.perf_counter()
    for start in range(0, work.rows, group):
        batch = torch.from_numpy(np.stack(pixels[start : start + group]))
        state = model.encoder.embed_image(model.normalise(batch))
        uids = [str(number) for number in range(start, start + len(batch))]
        streams = settle(model, state, tables.image, "image", uids, exits, policy)
        model.encoder.layer_norm(streams.state)
    return Measured(time.perf_counter() - began, [])


def traces_of(results: dict[int, RowResult]) -> list[ExitTrace]:
    """Return the traces in the rows' order."""
    traces = [results[number].trace for number in sorted(results)]
    return [trace for trace in traces if trace is not None]


def occupancy(scheduler: Scheduler, region: int, before: dict[Stage, tuple[int, int, int]] | None = None) -> float:
    """Return rows run over rows that the groups could have held, since `before`."""
    rows = places = 0
    for stage, run in scheduler.runs().items():
        if stage.region == region:
            earlier = (before or {}).get(stage, (0, 0, 0))
            rows, places = rows + run[1] - earlier[1], places + run[2] - earlier[2]
    return rows / places
