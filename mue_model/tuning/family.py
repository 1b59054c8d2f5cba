"""Threshold vectors of one stage, from what its similarities are: how many leave at each layer, or at what risk.

One number for all layers says little: after the third layer the similarities of all rows may lie within thousandths of
each other, each layer around another value. So a vector is told by its effect on rows that were looked at, and the
thresholds that have it lie midway between two similarities that occurred, where rounding moves nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mue_model.config import DecoderSignal, ExitConfig, ModelConfig
from mue_model.tuning.cells import Bools, Floats, encoder_stages

NEVER = 1.0
ALWAYS = -1.0001
"""Below every cosine, a rounded one too."""
SHARES = (0.2, 0.4, 0.6, 0.8)
"""Of those that reach a layer, the share that leaves there."""
RISKS = (0.0, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.05, 0.1)
"""Of those that leave at a layer, the share that leaving may spoil."""
_DIGITS = 7

Vector = tuple[float, ...]
"""A threshold for each layer of a stage; the last one is never asked."""


@dataclass(frozen=True)
class Seen:
    """What is known about the rows, or tokens, of one task at one stage."""

    similarity: Floats
    """[M, L - 1], after each layer but the last; of a text's tokens it may be their confidence."""
    spoilt: Bools
    """[M, L - 1]: whether leaving there makes wrong what full depth has right."""


def constant_depth(config: ModelConfig, layers: int) -> ExitConfig:
    """Return exits by which every stream and token stops after so many layers, or at the last."""
    encoder = constant_vector(min(layers, config.encoder_layers), config.encoder_layers)
    decoder = constant_vector(min(layers, config.decoder_layers), config.decoder_layers)
    return ExitConfig(image=encoder, text=encoder, joint=encoder, decoder=decoder)


def constant_depths(config: ModelConfig, depths: Sequence[int]) -> ExitConfig:
    """Return exits by which everyone leaves each encoder stage, and the decoder, after so many layers.

    Raises:
        ValueError: `depths` are not one for each stage of the encoder and one for the decoder, each within its layers.
    """
    stages = [*encoder_stages(config), "decoder"]
    layers = [config.encoder_layers] * (len(stages) - 1) + [config.decoder_layers]
    if len(depths) != len(stages) or not all(1 <= depth <= most for depth, most in zip(depths, layers, strict=True)):
        raise ValueError(f"{'/'.join(map(str, depths))} are no depths of {', '.join(stages)}: 1 to {layers}")
    return ExitConfig.model_validate(
        {stage: constant_vector(*own) for stage, *own in zip(stages, depths, layers, strict=True)}
    )


def constant_vector(depth: int, layers: int) -> Vector:
    """Return thresholds by which everyone leaves after `depth` layers of `layers`."""
    return tuple(ALWAYS if layer + 1 == depth < layers else NEVER for layer in range(layers))


def exits_of(vectors: Mapping[str, Vector], decoder_signal: DecoderSignal = "similarity") -> ExitConfig:
    """Return exits with these thresholds by stage, and none elsewhere: candidates do not go by a text's unless told.

    Args:
        vectors: By stage.
        decoder_signal: What the decoder's thresholds are of, where there are some.
    """
    exits = {stage: vector for stage, vector in vectors.items() if min(vector) < NEVER}
    own = {"candidates": NEVER, "decoder_signal": decoder_signal} if "decoder" in exits else {}
    return ExitConfig.model_validate(own | exits)


def depths_of(exits: Mapping[str, Vector], stages: Sequence[str]) -> tuple[int, ...] | None:
    """Return the layers that everyone runs in each of the stages; None where in some stage they are not the same.

    Args:
        exits: Vectors by stage; candidates without ones of their own go by the decoder's.
        stages: At least one.
    """
    vectors = [exits.get(stage) or exits["decoder"] for stage in stages]
    if not all(map(is_constant, vectors)):
        return None
    return tuple(
        next((layer for layer, value in enumerate(vector[:-1], start=1) if value <= ALWAYS), len(vector))
        for vector in vectors
    )


def is_constant(vector: Vector) -> bool:
    """Return whether everyone leaves at the same layer."""
    return all(value >= NEVER or value <= ALWAYS for value in vector[:-1])


def vectors_of(tasks: Sequence[Seen]) -> list[Vector]:
    """Return the family of one stage, each vector once: constant depths, by shares, and by risk up to a last layer.

    Args:
        tasks: What was seen, by task: thresholds are drawn from each task alone and from all together. Of risks the
            higher threshold of the tasks is one of the vectors: it spoils no more than either.
    """
    layers = tasks[0].similarity.shape[1] + 1
    pools = [seen.similarity for seen in tasks]
    found = [constant_vector(depth, layers) for depth in range(1, layers + 1)]
    for pool in [*pools, *([np.concatenate(pools)] if len(pools) > 1 else [])]:
        found += _by_share(pool)
    for risk in RISKS:
        each = [_by_risk(seen, risk) for seen in tasks]
        whole = [*each, tuple(np.max(each, axis=0).tolist())]
        found += [_until(vector, last) for vector in whole for last in range(layers, 1, -1)]
    return list(dict.fromkeys(found))


def _by_share(similarity: Floats) -> Iterator[Vector]:
    """From a first layer on the same share of those still there leaves, and at a last layer whoever is left."""
    layers = similarity.shape[1] + 1
    for first in range(1, layers):
        for last in range(first + 1, layers + 1):
            for share in SHARES:
                vector, left = [NEVER] * layers, np.ones(len(similarity), bool)
                for layer in range(first - 1, last - 1):
                    own = similarity[left, layer]
                    vector[layer] = _cut(np.sort(own), round(share * len(own)))
                    left &= similarity[:, layer] <= vector[layer]
                if last < layers:
                    vector[last - 1] = ALWAYS
                yield tuple(vector)


def _by_risk(seen: Seen, risk: float) -> Vector:
    """At every layer as many leave, the most similar first, as keep the spoilt among them within `risk`."""
    layers = seen.similarity.shape[1] + 1
    vector, left = [NEVER] * layers, np.ones(len(seen.similarity), bool)
    for layer in range(layers - 1):
        order = np.argsort(-seen.similarity[left, layer], kind="stable")
        spoilt = np.cumsum(seen.spoilt[left, layer][order])
        within = np.flatnonzero(spoilt <= risk * np.arange(1, len(order) + 1))
        leave = int(within[-1]) + 1 if len(within) else 0
        vector[layer] = _cut(np.sort(seen.similarity[left, layer]), leave)
        left &= seen.similarity[:, layer] <= vector[layer]
    return tuple(vector)


def _until(vector: Vector, last: int) -> Vector:
    """Return the vector by which those whom no layer before `last` lets go leave there, hard as they are.

    Where the last layers add little, a hard row gains nothing by them that is worth what it costs.
    """
    if last == len(vector):
        return vector
    return (*vector[: last - 1], ALWAYS, *[NEVER] * (len(vector) - last))


def _cut(ascending: Floats, leave: int) -> float:
    """Return a threshold that `leave` of these similarities exceed, or fewer where several are equal."""
    if leave >= len(ascending):
        return ALWAYS if len(ascending) else NEVER
    if not leave:
        return NEVER
    stay = ascending[-leave - 1]
    above = ascending[ascending > stay]
    if not len(above):
        return NEVER
    return min(NEVER, round((float(stay) + float(above[0])) / 2, _DIGITS))
