"""The only source of FLOPs: what a row costs if it runs alone. Integers; no torch import.

FLOPs = 2 x multiply-accumulates of matrix products and convolutions. Element-wise work (LayerNorm, softmax,
GELU, look-ups) is not counted. `row_flops` equals a counter around `reference.run_row`, attention included.
Checks are element-wise too; their analytic cost is reported apart and is not in `executed`. Where confidence is
checked, the head runs for it: a product, and so it is in `executed`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

from mue_model.config import RESNETS, ModelConfig
from mue_model.rows import ExitTrace

CHECK_FLOPS_PER_VALUE = 6
"""A cosine needs three sums of products per value of a state."""
CHECK_FLOPS_PER_LOGIT = 3
"""A confidence needs of every logit whether it is the largest, its exponential, and the sum of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionFlops:
    """Where a row's FLOPs go. The sum of the fields is what a counter sees."""

    stem: int = 0
    """Convolutions and `image_proj`."""
    positions: int = 0
    """Position tables: constants of a grid, a prompt length and a step; a row that runs alone pays for them."""
    image_layers: int = 0
    """Image layers; of a joint checkpoint, the layers over [image; text]."""
    text_layers: int = 0
    cross_kv: int = 0
    """Cross-attention keys and values."""
    decoder_layers: int = 0
    kv_fill: int = 0
    """Keys and values of skipped decoder layers, projected later."""
    head: int = 0

    def total(self) -> int:
        """Return the sum over all regions."""
        return sum(getattr(self, region.name) for region in fields(self))

    def __sub__(self, other: Self) -> RegionFlops:
        """Subtract region by region."""
        return RegionFlops(**{f.name: getattr(self, f.name) - getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFlops:
    """The compute of one row, in FLOPs."""

    executed: int
    """What the row executes alone, key-value fills included, checks not."""
    full_same_length: int
    """The same number of steps at full depth: no checks, no fills."""
    checks: int
    """Similarity checks: an overhead, not part of `executed`."""
    kv_fill: int
    """Of `executed`: keys and values of skipped layers."""
    regions: RegionFlops
    """`executed` by region."""


def row_flops(config: ModelConfig, trace: ExitTrace) -> RowFlops:
    """Return the FLOPs of the row that `trace` describes, alone, on a model of `config`."""
    regions = row_regions(config, trace)
    return RowFlops(
        executed=regions.total(),
        full_same_length=row_regions(config, full_depth(config, trace)).total(),
        checks=check_flops(config, trace),
        kv_fill=regions.kv_fill,
        regions=regions,
    )


def full_depth(config: ModelConfig, trace: ExitTrace) -> ExitTrace:
    """Return the trace of the same row and length at full depth."""
    return replace(
        trace,
        image=config.encoder_layers,
        text=config.encoder_layers,
        decoder=(config.decoder_layers,) * len(trace.decoder),
        checks=(0, 0, 0),
        kv_fills=0,
        decoder_signal="similarity",
        cross_kv_layers=config.decoder_layers if trace.decoder else 0,
    )


def row_regions(config: ModelConfig, trace: ExitTrace) -> RegionFlops:
    """Return `row_flops(...).executed` by region, for those who need no more."""
    width, patches, prompt = config.d_model, trace.grid[0] * trace.grid[1], trace.prompt_tokens
    memory = patches + prompt
    joint = config.streams == "joint"
    blocks = [memory] if joint else [patches, prompt]
    image_tokens = memory if joint else patches
    kv_fill = 4 * width * width
    return RegionFlops(
        stem=stem_flops(config, trace.grid),
        positions=sum(block_position_flops(config, block) for block in blocks)
        + memory_position_flops(config, memory)
        + _target_position_flops(config, trace, memory),
        image_layers=trace.image * encoder_layer_flops(config, image_tokens),
        text_layers=0 if joint else trace.text * encoder_layer_flops(config, prompt),
        cross_kv=trace.cross_kv_layers * cross_kv_flops(config, memory),
        decoder_layers=_decoder_flops(config, trace, memory),
        kv_fill=trace.beams * (trace.kv_fills * kv_fill + _caught_up_flops(config, trace, memory)),
        head=_head_tokens(config, trace) * 2 * width * config.vocab_size,
    )


def _head_tokens(config: ModelConfig, trace: ExitTrace) -> int:
    if trace.candidates:
        return trace.scored_tokens
    return trace.beams * (len(trace.decoder) + heads_in_vain(config, trace))


def heads_in_vain(config: ModelConfig, trace: ExitTrace) -> int:
    """Return the runs of the head after which a token went on: whoever left early did so after one that it needed."""
    if trace.decoder_signal == "similarity":
        return 0
    return trace.checks[2] - sum(depth < config.decoder_layers for depth in trace.decoder)


def _decoder_flops(config: ModelConfig, trace: ExitTrace, memory: int) -> int:
    """All decoder layers that ran: token by token, or all tokens of all candidates at once."""
    if trace.candidates:
        return trace.decoder[0] * trace.target_tokens * decoder_layer_flops(config, trace.target_tokens, memory)
    return trace.beams * _beam_flops(config, trace, memory)


def _beam_flops(config: ModelConfig, trace: ExitTrace, memory: int) -> int:
    """All decoder layers that ran for the tokens of one beam."""
    if trace.kv_policy != "holes":  # each key of each layer adds the same
        alone, key = decoder_layer_flops(config, 0, memory), 4 * config.d_model
        return sum(depth * (alone + key * (step + 1)) for step, depth in enumerate(trace.decoder))
    return sum(decoder_layer_flops(config, keys, memory) for keys in _self_attention_lengths(config, trace))


def _caught_up_flops(config: ModelConfig, trace: ExitTrace, memory: int) -> int:
    """Layers that ran later for tokens that had skipped them (`just_in_time`), keys and values not included.

    A token's keys and values at a layer need its state there: what it skipped before that layer is run.
    """
    if trace.kv_policy != "just_in_time":
        return 0
    flops, reach = 0, 0
    for step in range(len(trace.decoder) - 1, -1, -1):
        run_later = max(0, reach - trace.decoder[step] - 1)
        flops += run_later * (decoder_layer_flops(config, step + 1, memory) - 4 * config.d_model**2)
        reach = max(reach, trace.decoder[step])
    return flops


def _target_position_flops(config: ModelConfig, trace: ExitTrace, memory: int) -> int:
    if trace.candidates:
        return all_position_flops(config, memory, trace.target_length)
    return step_position_flops(config, memory, len(trace.decoder))


def _self_attention_lengths(config: ModelConfig, trace: ExitTrace) -> list[int]:
    """Number of self-attention keys of every decoder layer that ran, over all steps, where caches have holes."""
    cached, lengths = [0] * config.decoder_layers, []
    for depth in trace.decoder:
        for layer in range(depth):
            cached[layer] += 1
            lengths.append(cached[layer])
    return lengths


def encoder_layer_flops(config: ModelConfig, tokens: int) -> int:
    """Return the FLOPs of one encoder layer over `tokens` tokens of one row."""
    width, inner = config.d_model, config.encoder_ffn_dim
    projections = 8 * tokens * width * width
    attention = 4 * tokens * tokens * width
    return projections + attention + 4 * tokens * width * inner


def decoder_layer_flops(config: ModelConfig, self_keys: int, memory: int) -> int:
    """Return the FLOPs of one decoder layer for one token, cross-attention keys and values not included."""
    width, inner = config.d_model, config.decoder_ffn_dim
    projections = 8 * width * width + 4 * width * width
    attention = 4 * self_keys * width + 4 * memory * width
    return projections + attention + 4 * width * inner


def cross_kv_flops(config: ModelConfig, memory: int) -> int:
    """Return the FLOPs of projecting the memory to one decoder layer's cross-attention keys and values."""
    return 4 * memory * config.d_model**2


def block_position_flops(config: ModelConfig, tokens: int) -> int:
    """Return the FLOPs of the absolute position bias of one encoder block."""
    return 4 * tokens * config.d_model**2 + 2 * tokens * tokens * config.d_model


def memory_position_flops(config: ModelConfig, memory: int) -> int:
    """Return the FLOPs of projecting the memory's positions for cross-attention."""
    return 2 * memory * config.d_model**2


def step_position_flops(config: ModelConfig, memory: int, steps: int) -> int:
    """Return the FLOPs of the decoder's position biases over `steps` steps, each step seeing those before it."""
    products = config.d_model * (steps * (steps + 1) + 2 * steps * memory)
    return steps * 6 * config.d_model**2 + products


def all_position_flops(config: ModelConfig, memory: int, tokens: int) -> int:
    """Return the FLOPs of the decoder's position biases where every target position sees all of them."""
    return tokens * 6 * config.d_model**2 + 2 * tokens * (tokens + memory) * config.d_model


def stream_table_flops(config: ModelConfig, tokens: int, steps: int) -> int:
    """Return the FLOPs of one stream's position tables: encoder bias, and cross bias for texts of `steps` tokens."""
    cross = 2 * steps * config.d_model**2 + 2 * steps * tokens * config.d_model
    return block_position_flops(config, tokens) + memory_position_flops(config, tokens) + cross


def own_table_flops(config: ModelConfig, steps: int) -> int:
    """Return the FLOPs of the decoder's self-attention position table for texts of `steps` tokens."""
    return 4 * steps * config.d_model**2 + 2 * steps * steps * config.d_model


def check_flops(config: ModelConfig, trace: ExitTrace) -> int:
    """Return the analytic cost of the checks of a row."""
    patches = trace.grid[0] * trace.grid[1]
    image_tokens = patches + trace.prompt_tokens if config.streams == "joint" else patches
    image, text, _ = trace.checks
    values = image * image_tokens + text * trace.prompt_tokens
    return CHECK_FLOPS_PER_VALUE * config.d_model * values + decoder_check_flops(config, trace)


def decoder_check_flops(config: ModelConfig, trace: ExitTrace) -> int:
    """Return the analytic cost of the checks of a row's decoded tokens, or of its candidates."""
    checks = trace.checks[2]
    if trace.decoder_signal == "confidence":
        return CHECK_FLOPS_PER_LOGIT * config.vocab_size * trace.beams * checks
    return CHECK_FLOPS_PER_VALUE * config.d_model * checks * (trace.candidates * trace.target_length or 1)


def stem_flops(config: ModelConfig, grid: tuple[int, int]) -> int:
    """Return the FLOPs of the stem and `image_proj` for an image whose sides are 16 times `grid`."""
    if not grid[0] * grid[1]:
        return 0
    blocks, base = RESNETS[config.resnet_type]
    area = 64 * grid[0] * grid[1]  # output pixels of the first convolution, stride 2
    macs = area * base * 3 * 49
    area //= 4  # max-pool
    channels = base
    for stage, count in enumerate(blocks):
        width = base * 2**stage
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            out_area = area // stride**2
            macs += area * channels * width + out_area * (9 * width * width + 4 * width * width)
            if stride != 1 or channels != 4 * width:
                macs += out_area * channels * 4 * width
            area, channels = out_area, 4 * width
    return 2 * (macs + area * channels * config.d_model)
