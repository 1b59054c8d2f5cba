"""One row at a time, no regrouping: the definition of the right answer. Simple before fast.

The row pays for everything it needs, position tables included, and does no work that it does not need:
cross-attention keys and values are projected when a token first reaches a layer, and the skipped
self-attention keys and values (`propagate`) when a later token first needs them. `costs.row_flops` counts
exactly what runs here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mue_model.beams import BeamSearch
from mue_model.candidates import Targets, best_candidate, candidate_scores, targets_of
from mue_model.config import GenerationConfig, KvPolicy
from mue_model.decoding import advance_beams, greedy_tokens
from mue_model.exits import ExitPolicy, Stage, signal_of
from mue_model.grid import grid_of
from mue_model.model import MueModel
from mue_model.row_decoder import EncodedRow, RowDecoder
from mue_model.rows import Candidate, ExitTrace, FinishReason, RowInput, RowResult


@torch.inference_mode()
def run_row(
    model: MueModel,
    row: RowInput,
    policy: ExitPolicy,
    generation: GenerationConfig,
    kv_policy: KvPolicy = "propagate",
) -> RowResult:
    """Answer one row and trace what was executed. The text stays None: a tokenizer is the caller's."""
    image = model.normalise(torch.from_numpy(row.pixels.copy())[None])
    encoded = encode(model, image, torch.tensor([row.prompt_ids], device=model.device), policy, row.uid)
    if row.candidates:
        return score_candidates(model, encoded, row.prompt_ids, row.candidates, policy, row.uid)
    return decode_row(model, encoded, policy, generation, kv_policy, row.uid)


def encode(model: MueModel, image: Tensor, ids: Tensor, policy: ExitPolicy, uid: str = "") -> EncodedRow:
    """Encode one normalised image [1, 3, H, W] and its prompt [1, T], each stream to its own exit."""
    encoder = model.encoder
    grid = grid_of(*image.shape[-2:])
    image_state, text_state = encoder.embed_image(image), encoder.embed_text(ids)
    image_positions = encoder.image_positions(grid)
    text_positions = encoder.text_positions(0, ids.shape[1])
    positions = torch.cat([image_positions, text_positions])
    if model.config.streams == "joint":
        state = torch.cat([image_state, text_state], dim=1)
        state, depth, checks = _run_stream(model, state, positions, "joint", policy, uid, grid, ids.shape[1])
        depths, both_checks = (depth, depth), (checks, 0)
    else:
        image_state, p, p_checks = _run_stream(model, image_state, image_positions, "image", policy, uid, grid, 0)
        text_state, q, q_checks = _run_stream(
            model, text_state, text_positions, "text", policy, uid, None, ids.shape[1]
        )
        state = torch.cat([image_state, text_state], dim=1)
        depths, both_checks = (p, q), (p_checks, q_checks)
    memory = encoder.layer_norm(state)
    return EncodedRow(memory, positions, grid, ids.shape[1], *depths, both_checks)


def _run_stream(
    model: MueModel,
    state: Tensor,
    positions: Tensor,
    stage: Stage,
    policy: ExitPolicy,
    uid: str,
    grid: tuple[int, int] | None,
    text_tokens: int,
) -> tuple[Tensor, int, int]:
    """Run one encoder stream until it settles; returns its state, layers_run and checks."""
    absolute = model.encoder.absolute_bias(positions)
    depth, checks = model.config.encoder_layers, 0
    for layer in range(depth):
        bias = model.encoder.add_relative_bias(absolute, layer, grid, text_tokens)
        before, state = state, model.encoder_layer(layer)(state, bias)
        if layer + 1 < depth and policy.may_exit(stage, layer, 0):
            checks += 1
            if bool(policy.decide(stage, layer, 0, [uid], before, state)):
                return state, layer + 1, checks
    return state, depth, checks


def decode_row(
    model: MueModel,
    encoded: EncodedRow,
    policy: ExitPolicy,
    generation: GenerationConfig,
    kv_policy: KvPolicy,
    uid: str = "",
) -> RowResult:
    """Write the text of one encoded row, greedily or with beams, until it ends or has its last token."""
    decoder = RowDecoder(model, encoded, policy, kv_policy, uid, generation.beams)
    write = _write_greedily if generation.beams == 1 else _write_with_beams
    tokens, finish = write(decoder, generation)
    trace = ExitTrace(
        grid=encoded.grid,
        prompt_tokens=encoded.prompt_tokens,
        image=encoded.image,
        text=encoded.text,
        decoder=tuple(decoder.depths),
        checks=(*encoded.checks, decoder.checks),
        kv_fills=decoder.kv_fills,
        cross_kv_layers=max(decoder.depths),
        kv_policy=kv_policy,
        decoder_signal=signal_of(policy, uid),
        beams=generation.beams,
    )
    return RowResult(uid=uid, tokens=tokens, finish_reason=finish, trace=trace)


def _write_greedily(decoder: RowDecoder, generation: GenerationConfig) -> tuple[tuple[int, ...], FinishReason]:
    config = decoder.model.config
    tokens: list[int] = []
    token = config.bos_token_id
    while len(tokens) < generation.max_tokens:
        token = greedy_tokens(decoder.step(token), [tokens], generation, config)[0]
        tokens.append(token)
        if token == config.eos_token_id:
            return tuple(tokens), "stop"
    return tuple(tokens), "length"


def _write_with_beams(decoder: RowDecoder, generation: GenerationConfig) -> tuple[tuple[int, ...], FinishReason]:
    config = decoder.model.config
    search = BeamSearch(generation.beams, generation.max_tokens, config.eos_token_id)
    tokens = [config.bos_token_id] * generation.beams
    while not search.done:
        [parents] = advance_beams(decoder.step(*tokens)[None], [search], generation, config)
        decoder.reorder(parents)
        tokens = [text[-1] for text in search.tokens]
    return search.best, "length" if len(search.best) == generation.max_tokens else "stop"


def decode_sequence(
    model: MueModel, encoded: EncodedRow, targets: Targets, policy: ExitPolicy, uid: str = ""
) -> tuple[list[Tensor], int]:
    """Run all target tokens at once (teacher forcing) with one decision for them all, as published.

    Returns the states [1, S, C] after each layer that ran, and layers_run. A decision covers all positions of all
    candidates side by side, so what they have in common counts once for each.
    """
    decoder, shape = model.decoder, targets.shape
    places = torch.from_numpy(shape.positions).to(model.device)
    hidden = torch.from_numpy(~shape.visible).to(model.device)
    positions = decoder.text_positions(0, shape.length)
    self_bias = decoder.self_absolute_bias(positions, positions)
    cross_bias = decoder.cross_bias(positions, decoder.cross_pos_k_linear(encoded.positions))[:, places]
    state = model.embed_target(torch.tensor([targets.ids], device=model.device))
    states: list[Tensor] = []
    for layer in range(model.config.decoder_layers):
        module = model.decoder_layer(layer)
        bias = self_bias + decoder.token_relative_bias(layer, 0, shape.length)
        bias = bias[:, places[:, None], places].masked_fill(hidden, float("-inf"))
        cross = module.cross_keys_values(encoded.memory)
        before, state = state, module(state, *module.over(module.self_keys_values(state), bias, cross, cross_bias))
        states.append(state)
        if layer + 1 == model.config.decoder_layers or not policy.may_exit("candidates", layer, 0):
            continue
        if bool(policy.decide("candidates", layer, 0, [uid], shape.flattened(before), shape.flattened(state))):
            break
    return states, len(states)


def score_candidates(
    model: MueModel,
    encoded: EncodedRow,
    prompt_ids: tuple[int, ...],
    candidates: tuple[Candidate, ...],
    policy: ExitPolicy,
    uid: str = "",
) -> RowResult:
    """Choose among the candidates of one encoded row (OFA's entailment and closed VQA)."""
    targets = targets_of(prompt_ids, candidates)
    states, depth = decode_sequence(model, encoded, targets, policy, uid)
    scores = candidate_scores(model.logits(states[-1][:, list(targets.shape.branches)])[0], candidates)
    best = best_candidate(candidates, scores)
    checked = range(min(depth, model.config.decoder_layers - 1))
    trace = ExitTrace(
        grid=encoded.grid,
        prompt_tokens=encoded.prompt_tokens,
        image=encoded.image,
        text=encoded.text,
        decoder=(depth,),
        checks=(*encoded.checks, sum(policy.may_exit("candidates", layer, 0) for layer in checked)),
        kv_fills=0,
        cross_kv_layers=depth,
        candidates=len(candidates),
        target_length=targets.shape.length,
        target_tokens=targets.shape.tokens,
        scored_tokens=len(targets.shape.branches),
    )
    return RowResult(uid=uid, label=best.label, tokens=best.ids, scores=scores, finish_reason="candidate", trace=trace)
