"""What joint thresholds would do to the rows in the cells, without running the model again.

Exact for the encoder's depths and for candidates; of captions it tells which rows keep their text, but for keys and
values of skipped layers, and takes every text that changes for wrong: some would be right in other words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mue_model import costs
from mue_model.config import DecoderSignal, ExitConfig, ModelConfig
from mue_model.rows import ExitTrace
from mue_model.tuning.by import By
from mue_model.tuning.cells import Bools, Cells, encoder_stages
from mue_model.tuning.family import NEVER, Seen, Vector
from mue_model.tuning.net_work import NetWork, NetWorkCounter
from mue_model.tuning.pace import Pace

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Screened:
    """One point on the rows of one task."""

    right: Bools
    """[N]"""
    traces: tuple[ExitTrace, ...]
    executed: int
    checks: int
    full: int
    """FLOPs of the same rows and lengths at full depth."""
    net: NetWork
    """What a job executes for the rows together."""

    @property
    def share(self) -> float:
        """FLOPs executed and checks, over those at full depth."""
        return (self.executed + self.checks) / self.full


class Screen:
    """Answers for any thresholds; never changes."""

    def __init__(
        self,
        config: ModelConfig,
        cells: Mapping[str, Cells],
        *,
        by: By = "flops",
        paces: Mapping[str, Pace] | None = None,
    ) -> None:
        """Take what was collected of each task, and what is counted; `by` time needs the pace of each task."""
        self.config, self.cells, self.by, self._paces = config, cells, by, paces or {}
        self._flops = lru_cache(maxsize=None)(lambda trace: costs.row_flops(config, trace))
        self._net = {task: NetWorkCounter(config, own.sharing, own.traces) for task, own in cells.items()}
        full = self.of(ExitConfig())
        self._full = {task: own.right for task, own in full.items()}
        self._full_net = {task: own.net for task, own in full.items()}

    @property
    def last_stages(self) -> tuple[str, ...]:
        """Return the decoder's stages that some task has, each once."""
        return tuple(dict.fromkeys(cells.last_stage for cells in self.cells.values()))

    @property
    def decoder_signal(self) -> DecoderSignal:
        """Return what texts' tokens are judged by."""
        return next((own.decoder_signal for own in self.cells.values() if own.last_stage == "decoder"), "similarity")

    @property
    def stages(self) -> tuple[str, ...]:
        """Return all stages, as a row meets them."""
        return (*encoder_stages(self.config), *self.last_stages)

    def tasks_of(self, stage: str) -> list[str]:
        """Return the tasks whose rows meet a stage."""
        return [task for task, cells in self.cells.items() if stage in (*encoder_stages(self.config), cells.last_stage)]

    def of(self, exits: ExitConfig, *, tasks: Iterable[str] | None = None) -> dict[str, Screened]:
        """Return what happens to the rows of `tasks`, or all."""
        vectors = exits.per_layer(self.config)
        chosen = self.cells if tasks is None else tasks
        return {task: self._screened(task, vectors) for task in chosen}

    def quality(self, found: Mapping[str, Screened]) -> float:
        """Return the share of full depth's quality that is kept, in the task that keeps least."""
        return min(float(own.right.sum() / self._full[task].sum()) for task, own in found.items())

    def spent(self, found: Mapping[str, Screened]) -> float:
        """Return the cost over that of full depth; every task counts the same."""
        return float(np.mean([self._spent(task, own) for task, own in found.items()]))

    def _spent(self, task: str, own: Screened) -> float:
        if self.by == "flops":
            return own.share
        return own.net.share if self.by == "work" else self._paces[task].share(own.net, self._full_net[task])

    def seen(self, stage: str) -> list[Seen]:
        """Return what each task that meets a stage knows about it, all others at full depth."""
        return [self._seen(task, self.cells[task], stage) for task in self.tasks_of(stage)]

    def _screened(self, task: str, vectors: Mapping[str, Vector]) -> Screened:
        cells = self.cells[task]
        stages = encoder_stages(self.config)
        depths = [_first_above(cells.encoder[stage], vectors[stage]) for stage in stages]
        rows, at = np.arange(len(cells.traces)), [own - 1 for own in depths]
        cell = (rows, at[0], at[1] if len(at) == 2 else 0)
        last = vectors.get(cells.last_stage, vectors["decoder"])
        decoder = _first_above(cells.decoder[cell].swapaxes(1, 2), last)
        said = np.take_along_axis(cells.holds[cell], decoder[:, None] - 1, axis=1)[:, 0]
        checks = [_checks(own, vectors[stage]) for own, stage in zip(depths, stages, strict=True)]
        token_checks = _checks(decoder, last)
        traces = []
        for row, (full, steps) in enumerate(zip(cells.traces, cells.steps.tolist(), strict=True)):
            own = tuple(decoder[row, :steps].tolist())
            traces.append(
                replace(
                    full,
                    image=int(depths[0][row]),
                    text=int(depths[-1][row]),
                    decoder=own,
                    checks=(
                        int(checks[0][row]),
                        int(checks[1][row]) if len(checks) == 2 else 0,
                        int(token_checks[row, :steps].sum()),
                    ),
                    kv_fills=0 if full.candidates else filled_later(own),
                    decoder_signal=cells.decoder_signal,
                    cross_kv_layers=max(own),
                )
            )
        flops = [self._flops(trace) for trace in traces]
        return Screened(
            right=said.all(axis=1) & cells.eligible,
            traces=tuple(traces),
            executed=sum(own.executed for own in flops),
            checks=sum(own.checks for own in flops),
            full=sum(own.full_same_length for own in flops),
            net=self._net[task].count(traces),
        )

    def _seen(self, task: str, cells: Cells, stage: str) -> Seen:
        if stage == cells.last_stage:
            steps = np.arange(cells.decoder.shape[-1]) < cells.steps[:, None]
            similarity = cells.decoder[:, -1, -1].swapaxes(1, 2)[steps]
            lost = ~cells.holds[:, -1, -1].swapaxes(1, 2) & self._full[task][:, None, None]
            return Seen(similarity, lost[steps][:, :-1])
        last = cells.holds[:, :, -1, -1] if stage != "text" else cells.holds[:, -1, :, -1]
        lost = ~last.all(axis=-1) & self._full[task][:, None]
        return Seen(cells.encoder[stage], lost[:, :-1])


def _first_above(similarity: np.ndarray, vector: Vector) -> Ints:
    """Return layers_run of similarities [..., L - 1]: up to the first that exceeds its threshold, else all."""
    thresholds = np.array(vector[:-1])
    above = (similarity > thresholds.astype(similarity.dtype)) & (thresholds < NEVER)
    return np.where(above.any(axis=-1), above.argmax(axis=-1) + 1, len(vector))


def _checks(depths: Ints, vector: Vector) -> Ints:
    """Return the checks made on the way to these depths."""
    asked = np.array([0, *np.cumsum(np.array(vector[:-1]) < NEVER)])
    return asked[np.minimum(depths, len(vector) - 1)]


@lru_cache(maxsize=1 << 16)
def filled_later(depths: tuple[int, ...]) -> int:
    """Return how many keys and values steps of these depths left out that a later step needs (`propagate`)."""
    later = fills = 0
    for depth in reversed(depths):
        fills += max(0, later - depth)
        later = max(later, depth)
    return fills


def pareto(points: Iterable[tuple[float, float]]) -> list[int]:
    """Return the places of the points (cost, quality) that no other beats in both, by rising cost."""
    best, found = -1.0, []
    for place, (_, quality) in sorted(enumerate(points), key=lambda point: (point[1][0], -point[1][1])):
        if quality > best:
            best = quality
            found.append(place)
    return found


def thinned(places: Sequence[int], costs: Sequence[float], most: int) -> list[int]:
    """Return at most so many of `places`, spread evenly over their costs, the first and the last among them."""
    if len(places) <= most:
        return list(places)
    low, high = costs[places[0]], costs[places[-1]]
    wanted = [low + (high - low) * number / max(1, most - 1) for number in range(most)]
    near = (min(places, key=lambda place: abs(costs[place] - cost)) for cost in wanted)
    return list(dict.fromkeys(near))
