"""What a job executes for rows together: an image once for all its queries, a prompt once, tables for nothing.

`costs.row_flops` tells what a row would cost alone, which counts an image's layers once for each of its hypotheses. A
job encodes it once (engine/encoder_region.py), so layers that an image saves are worth less beside those that a text
saves than the rows' own figures say. Integers, from the traces alone: no schedule, no clock.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mue_model import costs
from mue_model.config import ModelConfig
from mue_model.rows import ExitTrace, RowInput

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Which rows have a stream in common."""

    images: Ints
    """[N]: rows of one number have their image stream, or their joint one, in common."""
    prompts: Ints
    """[N]: the same of text streams; of a joint checkpoint no two rows."""

    @classmethod
    def of(cls, config: ModelConfig, rows: Sequence[RowInput]) -> Sharing:
        """Return what the engine shares among `rows` if all are in flight together."""
        if config.streams == "joint":
            return cls(images=np.arange(len(rows)), prompts=np.arange(len(rows)))
        images = [row.image_key or (row.uid, place) for place, row in enumerate(rows)]
        return cls(images=_numbered(images), prompts=_numbered([row.prompt_ids for row in rows]))


@dataclass(frozen=True, kw_only=True)
class NetWork:
    """What rows together take."""

    executed: int
    """FLOPs."""
    checks: int
    """FLOPs of checks."""
    full: int
    """FLOPs executed at full depth, texts of the same lengths."""
    layers: Mapping[str, int]
    """Layer calls by image, text and decoder: of each stream, of each token, or of all answers of a row."""
    asked: Mapping[str, int]
    """Checks, likewise; of confidences those in vain, for where a token leaves the head's run is not one more."""

    @property
    def share(self) -> float:
        """FLOPs executed and checks over full depth."""
        return (self.executed + self.checks) / self.full


class NetWorkCounter:
    """Counts rows whose sharing and geometry stay the same, whatever their exits are."""

    def __init__(self, config: ModelConfig, sharing: Sharing, traces: Sequence[ExitTrace]) -> None:
        """Take `traces` of the rows at any depth, for their geometry."""
        self._config = config
        self._images, self._prompts = _Shared(sharing.images), _Shared(sharing.prompts)
        joint = config.streams == "joint"
        patches = [trace.grid[0] * trace.grid[1] for trace in traces]
        prompts = [trace.prompt_tokens for trace in traces]
        main = [sum(pair) for pair in zip(patches, prompts, strict=True)] if joint else patches
        self._stem = _ints(costs.stem_flops(config, trace.grid) for trace in traces)[self._images.first]
        self._main = _Streams.of(config, main, self._images)
        self._text = _Streams.of(config, [0] * len(prompts) if joint else prompts, self._prompts)
        self._own: dict[ExitTrace, int] = {}
        self._full: dict[tuple[int, ...], int] = {}

    def count(self, traces: Sequence[ExitTrace]) -> NetWork:
        """Return the net work of the rows as `traces` say."""
        image = self._images.deepest(_ints(trace.image for trace in traces))
        text = self._prompts.deepest(_ints(trace.text for trace in traces))
        checks = np.array([trace.checks for trace in traces], np.int64).reshape(-1, 3)
        asked = {"image": self._images.deepest(checks[:, 0]), "text": self._prompts.deepest(checks[:, 1])}
        values = (asked["image"] * self._main.tokens).sum() + (asked["text"] * self._text.tokens).sum()
        own = sum(costs.decoder_check_flops(self._config, trace) for trace in traces)
        return NetWork(
            executed=self._executed(traces, image, text),
            checks=int(values) * costs.CHECK_FLOPS_PER_VALUE * self._config.d_model + own,
            full=self._at_full_depth(traces),
            layers={
                "image": int(image.sum()),
                "text": 0 if self._config.streams == "joint" else int(text.sum()),
                "decoder": sum(sum(trace.decoder) for trace in traces),
            },
            asked={
                **{stage: int(own.sum()) for stage, own in asked.items()},
                "decoder": sum(self._asked(trace) for trace in traces),
            },
        )

    def _asked(self, trace: ExitTrace) -> int:
        by_confidence = trace.decoder_signal == "confidence"
        return costs.heads_in_vain(self._config, trace) if by_confidence else trace.checks[2]

    def _executed(self, traces: Sequence[ExitTrace], image: Ints, text: Ints) -> int:
        cross = _ints(trace.cross_kv_layers for trace in traces)
        main = self._main.flops(image, self._images.deepest(cross))
        return (
            int(self._stem.sum())
            + main
            + self._text.flops(text, self._prompts.deepest(cross))
            + sum(map(self._own_flops, traces))
        )

    def _at_full_depth(self, traces: Sequence[ExitTrace]) -> int:
        lengths = tuple(len(trace.decoder) for trace in traces)
        if lengths not in self._full:
            full = [costs.full_depth(self._config, trace) for trace in traces]
            image, text = (_ints(getattr(trace, stream) for trace in full) for stream in ("image", "text"))
            self._full[lengths] = self._executed(full, self._images.deepest(image), self._prompts.deepest(text))
        return self._full[lengths]

    def _own_flops(self, trace: ExitTrace) -> int:
        """What no other row needs: decoder layers, late keys and values, the head."""
        if trace not in self._own:
            regions = costs.row_regions(self._config, trace)
            self._own[trace] = regions.decoder_layers + regions.kv_fill + regions.head
        return self._own[trace]


class _Shared:
    """Rows in groups that share a stream."""

    def __init__(self, numbers: Ints) -> None:
        _, self.first, self._group = np.unique(numbers, return_index=True, return_inverse=True)

    def deepest(self, values: Ints) -> Ints:
        """Return the largest value of each group."""
        found = np.zeros(len(self.first), np.int64)
        np.maximum.at(found, self._group, values)
        return found


@dataclass(frozen=True)
class _Streams:
    """Streams that are there once each: their tokens, FLOPs of a layer, and of keys and values for a decoder layer."""

    tokens: Ints
    layer: Ints
    keys_values: Ints

    @classmethod
    def of(cls, config: ModelConfig, tokens: Sequence[int], shared: _Shared) -> _Streams:
        own = _ints(tokens)[shared.first]
        layers = _ints(costs.encoder_layer_flops(config, number) for number in own.tolist())
        return cls(own, layers, _ints(costs.cross_kv_flops(config, number) for number in own.tolist()))

    def flops(self, depths: Ints, cross: Ints) -> int:
        return int((depths * self.layer + cross * self.keys_values).sum())


def net_work(config: ModelConfig, rows: Sequence[RowInput], traces: Sequence[ExitTrace]) -> NetWork:
    """Return the net work of `rows` as `traces` say."""
    return NetWorkCounter(config, Sharing.of(config, rows), traces).count(traces)


def _numbered(keys: Sequence[Hashable]) -> Ints:
    numbers: dict[Hashable, int] = {}
    return _ints(numbers.setdefault(key, len(numbers)) for key in keys)


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)
