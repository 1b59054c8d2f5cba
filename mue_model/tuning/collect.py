"""Fills the cells: every row decoded with the memory of every depth, teacher-forced on its own text at full depth.

Its own text rather than a reference: what a free run feeds back is that text as long as all tokens agree with full
depth, so up to the first token that differs the table is what happens, whatever the references say. Candidates have no
feedback: for them, and for the encoder, it is exact. It leaves out one thing: `propagate` projects keys and values of
skipped decoder layers from exit states, while here earlier tokens have run all layers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, product

import numpy as np
import torch
from torch import Tensor

from mue_model.candidates import best_candidate, targets_of
from mue_model.config import DecoderSignal, GenerationConfig
from mue_model.decoding import greedy_tokens
from mue_model.engine.score import ScoreTables, embed_targets, score_layer, scores_of
from mue_model.engine.tables import Geometry, build_tables
from mue_model.exits import confidence, row_similarity
from mue_model.full_depth import EncodedBatch, decode_batch, encode_batch, encode_images
from mue_model.grid import grid_of
from mue_model.model import MueModel
from mue_model.rows import RowInput, RowResult
from mue_model.tuning.cells import Cells, encoder_stages
from mue_model.tuning.net_work import Sharing

BATCH_ROWS = 50


@torch.inference_mode()
def collect(
    model: MueModel,
    rows: Sequence[RowInput],
    full: Sequence[RowResult],
    right: Sequence[bool],
    gold: Sequence[str | None],
    generation: GenerationConfig,
    *,
    decoder_signal: DecoderSignal = "similarity",
    progress: Callable[[int], None] = lambda _: None,
) -> Cells:
    """Return the cells of rows of one task.

    Args:
        model: The model that `full` was answered by.
        rows: All with candidates, or none with any.
        full: Their answers at full depth.
        right: Whether the answer is right.
        gold: The right label of rows with candidates.
        generation: How texts were decoded; greedily.
        decoder_signal: What tells of a text's token whether it has settled.
        progress: Is told the rows done so far.
    """
    config, stages = model.config, encoder_stages(model.config)
    steps = 1 if rows[0].candidates else max(len(result.tokens) for result in full)
    grid = (len(rows), config.encoder_layers, config.encoder_layers if len(stages) == 2 else 1)
    encoder = {stage: np.zeros((len(rows), config.encoder_layers - 1), np.float32) for stage in stages}
    decoder = np.zeros((*grid, config.decoder_layers - 1, steps), np.float32)
    holds = np.ones((*grid, config.decoder_layers, steps), bool)
    done = 0
    for batch in _batches(rows):
        chosen = [rows[place] for place in batch]
        streams = _encode(model, chosen)
        biases = _score_tables(model, chosen[0]) if chosen[0].candidates else None
        for stage, states in zip(stages, streams, strict=True):
            between = zip(states.states[:-2], states.states[1:-1], strict=True)
            encoder[stage][batch] = _columns([row_similarity(*pair) for pair in between], len(batch))
        for cell in product(range(grid[1]), range(grid[2])):
            memory = _memory(model, streams, [place + 1 for place in cell[: len(stages)]])
            if biases is not None:
                found = _score(model, chosen, memory, biases, [gold[place] for place in batch])
            else:
                found = _reread(
                    model, memory, [full[place].tokens for place in batch], steps, generation, decoder_signal
                )
            decoder[(batch, *cell)], holds[(batch, *cell)] = found
        done += len(batch)
        progress(done)
    eligible = np.ones(len(rows), bool) if rows[0].candidates else np.array(right, bool)
    traces = tuple(result.trace for result in full if result.trace is not None)
    sharing = Sharing.of(config, rows)
    return Cells(
        encoder=encoder,
        decoder=decoder,
        holds=holds,
        eligible=eligible,
        traces=traces,
        decoder_signal="similarity" if rows[0].candidates else decoder_signal,
        sharing=sharing,
    )


def _batches(rows: Sequence[RowInput]) -> Iterator[list[int]]:
    """Yield the places of rows that need no padding beside each other."""
    lanes: defaultdict[object, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        shape = targets_of(row.prompt_ids, row.candidates).shape if row.candidates else None
        lanes[row.pixels.shape, len(row.prompt_ids), shape].append(place)
    for lane in lanes.values():
        yield from (lane[start : start + BATCH_ROWS] for start in range(0, len(lane), BATCH_ROWS))


def _encode(model: MueModel, rows: Sequence[RowInput]) -> tuple[EncodedBatch, ...]:
    """Return all states of each stream."""
    images = model.normalise(torch.from_numpy(np.stack([row.pixels for row in rows])))
    ids = torch.tensor([row.prompt_ids for row in rows], device=model.device)
    if model.config.streams == "joint":
        return (encode_batch(model, images, ids),)
    return encode_images(model, images), encode_batch(model, None, ids)


def _memory(model: MueModel, streams: Sequence[EncodedBatch], depths: Sequence[int]) -> EncodedBatch:
    """Return what the decoder sees where the streams left at `depths`."""
    left = [stream.states[depth] for stream, depth in zip(streams, depths, strict=True)]
    return EncodedBatch(
        states=[],
        memory=model.encoder.layer_norm(torch.cat(left, dim=1)),
        positions=torch.cat([stream.positions for stream in streams]),
        padding=torch.cat([stream.padding for stream in streams], dim=1),
    )


def _reread(
    model: MueModel,
    encoded: EncodedBatch,
    texts: Sequence[tuple[int, ...]],
    steps: int,
    generation: GenerationConfig,
    decoder_signal: DecoderSignal,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the signal [N, D - 1, T] of each text's tokens, and whether each depth would say them, [N, D, T]."""
    config = model.config
    inputs = torch.full((len(texts), steps), config.pad_token_id, device=model.device)
    for row, text in enumerate(texts):
        inputs[row, : len(text)] = torch.tensor([config.bos_token_id, *text[:-1]], device=model.device)
    states = [model.embed_target(inputs), *decode_batch(model, encoded, inputs)]
    tokens = [(row, step) for row, text in enumerate(texts) for step in range(len(text))]
    places = torch.tensor(tokens, device=model.device).unbind(1)
    at = tuple(np.array(tokens).T)
    histories, said = [texts[row][:step] for row, step in tokens], np.array([texts[row][step] for row, step in tokens])
    signals = np.zeros((len(texts), config.decoder_layers - 1, steps), np.float32)
    holds = np.ones((len(texts), config.decoder_layers, steps), bool)
    for layer, (before, after) in enumerate(pairwise(states)):
        logits = model.logits(after[places])
        if layer + 1 < config.decoder_layers:
            pair = before[places][:, None], after[places][:, None]
            signal = row_similarity(*pair) if decoder_signal == "similarity" else confidence(logits)
            signals[at[0], layer, at[1]] = signal.cpu().numpy()
        holds[at[0], layer, at[1]] = greedy_tokens(logits, histories, generation, config, overwrite=True) == said
    return signals, holds


def _score_tables(model: MueModel, row: RowInput) -> ScoreTables:
    shape = targets_of(row.prompt_ids, row.candidates).shape
    geometry = Geometry(grid_of(*row.pixels.shape[:2]), len(row.prompt_ids), shape)
    tables = build_tables(model, geometry, shape.length)
    return ScoreTables.of(tables.self_attention, tables.cross_attention, shape)


def _score(
    model: MueModel, rows: Sequence[RowInput], encoded: EncodedBatch, biases: ScoreTables, gold: Sequence[str | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Return similarities [N, D - 1, 1], and whether each depth chooses the right candidate, [N, D, 1]."""
    shape, candidates = targets_of(rows[0].prompt_ids, rows[0].candidates).shape, [row.candidates for row in rows]
    state, similarities, right = embed_targets(model, rows), [], []
    for layer in range(model.config.decoder_layers):
        cross = model.decoder_layer(layer).cross_keys_values(encoded.memory)
        before, state = state, score_layer(model, layer, biases, state, cross)
        similarities.append(row_similarity(shape.flattened(before), shape.flattened(state)))
        scores = scores_of(model, state, shape, candidates)
        chosen = (best_candidate(own, its).label for own, its in zip(candidates, scores, strict=True))
        right.append([label == own for label, own in zip(chosen, gold, strict=True)])
    return _columns(similarities[:-1], len(rows))[..., None], np.array(right).T[..., None]


def _columns(values: Iterable[Tensor], rows: int) -> np.ndarray:
    """Return vectors [N] side by side: [N, their number]."""
    columns = [value.cpu().numpy() for value in values]
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0))
