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
from mue_model.engine.decode import BatchDecoder
from mue_model.engine.decoder_region import DECODER, DecoderRegion
from mue_model.engine.dense import TOGETHER
from mue_model.engine.encode import settle
from mue_model.engine.encoder_region import ENCODER, EncoderRegion
from mue_model.engine.flight import Flight
from mue_model.engine.scheduler import Scheduler, rows_for_full_groups
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


@torch.inference_mode()
def dense_decoder(work: Work, memory: Tensor, exits: ExitPolicy, group: int) -> Measured:
    """The decoder region alone, fed with rows as slots become free."""
    scheduler, results = Scheduler(), dict[int, RowResult]()
    main, text = (StreamStore(work.model, kind, work.steps) for kind in ("image", "text"))
    lanes = main.open_lane(Shape(work.grid, 0))[0], text.open_lane(Shape(None, work.prompt_tokens))[0]

    def done(flight: Flight, result: RowResult) -> None:
        results[flight.ticket] = result
        main.release(flight.image)
        text.release(flight.text)

    attention = indexed_attention("auto", work.model)
    region = DecoderRegion(
        work.model, scheduler, exits, work.generation, "propagate", main, text, attention, group, done
    )
    most, patches, coming, held = rows_for_full_groups(region.stage_sizes()), work.grid[0] * work.grid[1], 0, 0
    began = time.perf_counter()
    while len(results) < work.rows:
        room = most + TOGETHER - region.in_flight if region.in_flight <= most else 0
        fresh = range(coming, min(work.rows, coming + room))
        coming = max(coming, fresh.stop)
        if fresh:
            flights = [
                Flight(number, work.row(number), work.grid, main.take(lanes[0]), text.take(lanes[1]))
                for number in fresh
            ]
            part = memory[fresh.start : fresh.stop]
            main.write(np.array([flight.image for flight in flights]), part[:, :patches])
            text.write(np.array([flight.text for flight in flights]), part[:, patches:])
            for store, slots in ((main, [f.image for f in flights]), (text, [f.text for f in flights])):
                store.layers_run[slots] = work.config.encoder_layers
            for flight in flights:
                region.admit(flight)
        group_of = scheduler.next_group()
        assert group_of is not None
        region.run(*group_of)
    seconds = time.perf_counter() - began
    held = main.bytes + text.bytes + region.store.bytes
    return Measured(seconds, traces_of(results), occupancy(scheduler, DECODER), held)


@torch.inference_mode()
def static_decoder(
    work: Work, memory: Tensor, exits: ExitPolicy, group: int, policy: BatchPolicy = "compact"
) -> Measured:
    """Batches from beginning to end; with `NeverExit`, plain full depth over contiguous keys and values."""
    tables = build_tables(work.model, Geometry(work.grid, work.prompt_tokens), work.steps)
    began = time.perf_counter()
    for start in range(0, work.rows, group):
        uids = [str(number) for number in range(start, min(start + group, work.rows))]
        part = memory[start : start + group]
        BatchDecoder(work.model, part, tables, uids, exits, work.generation, "propagate", policy).decode()
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


def occupancy(scheduler: Scheduler, region: int) -> float:
    """Return rows run over rows that the groups could have held."""
    runs = [run for stage, run in scheduler.runs().items() if stage.region == region]
    return sum(rows for _, rows, _ in runs) / sum(places for _, _, places in runs)
