"""Settings, split by what they may change. No torch import: `mue --help` reads this module.

`ModelConfig` is fixed by a checkpoint. `ExitConfig` and `GenerationConfig` change results and are part of
the fingerprint. `EngineConfig` must not change any result.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mue_model.config_errors import problems_of


class ConfigError(ValueError):
    """A setting is wrong. The message names the key, the value, the reason and the nearest valid key."""


class Config(BaseModel):
    """Frozen, keyword-only settings. An unknown key is an error, and so are a truth value where a number belongs, and
    a number that is not finite or has no place in 64 bits."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        hide_input_in_errors=True,  # of tracebacks: our own messages show values, but for secrets
    )

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: object, info: ValidationInfo) -> object:
        """pydantic takes `false`, and YAML's `no` and `off`, for a 0: exits.image=no would let every row leave."""
        annotation: Any = cls.model_fields[str(info.field_name)].annotation
        kinds = _kinds(annotation)
        if {int, float} & kinds:
            for one in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(one, bool) and bool not in kinds:
                    raise ValueError("expected a number, and YAML takes yes, no, on and off for true and false")
                if isinstance(one, int) and abs(one) > _LARGEST_NUMBER:
                    raise ValueError(f"expected a number of at most {_LARGEST_NUMBER:,}")
        return value


_LARGEST_NUMBER = 2**63 - 1


@cache
def _kinds(annotation: Hashable) -> frozenset[Any]:
    """Return the types of which a value, or an item of it, may be."""
    inside = get_args(annotation)
    return frozenset().union(*map(_kinds, inside)) if inside else frozenset({annotation})


ConfigT = TypeVar("ConfigT", bound=Config)


def parse_config(cls: type[ConfigT], data: Any, *, where: str) -> ConfigT:
    """Validate `data` as `cls`, or raise `ConfigError` naming each wrong key of `where` in plain words."""
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(problem.text for problem in problems_of(cls, error))) from error


# Blocks per stage and width of the first stage. Stage 4 and the classifier of ResNet are not used by OFA.
RESNETS: dict[str, tuple[tuple[int, int, int], int]] = {
    "resnet50": ((3, 4, 6), 64),
    "resnet101": ((3, 4, 23), 64),
    "resnet152": ((3, 8, 36), 64),
    "light": ((1, 1, 1), 16),
}

Streams = Literal["joint", "decomposed"]


class Quirks(Config):
    """Faults of the published MuE code, reproduced only for checkpoints that were trained with them."""

    drop_image_rel_bias: bool = False
    """Compute the image relative-position bias and drop it."""


_MOST_LAYERS, _LARGEST, _LARGEST_GRID = 1000, 1 << 24, 128
"""Far above any model; a config.json beyond them is broken, and would take for ever, or all memory, to find so."""


class ModelConfig(Config):
    """What a checkpoint fixes. Names are those of OFA's config.json."""

    vocab_size: int = Field(gt=0, le=_LARGEST)
    """Rows of the token embedding, tied with the output projection."""
    d_model: int = Field(gt=0, le=_LARGEST)
    """Width C of the residual stream."""
    encoder_layers: int = Field(gt=0, le=_MOST_LAYERS)
    encoder_attention_heads: int = Field(gt=0, le=_LARGEST)
    encoder_ffn_dim: int = Field(gt=0, le=_LARGEST)
    decoder_layers: int = Field(gt=0, le=_MOST_LAYERS)
    decoder_attention_heads: int = Field(gt=0, le=_LARGEST)
    decoder_ffn_dim: int = Field(gt=0, le=_LARGEST)
    resnet_type: Literal["resnet50", "resnet101", "resnet152", "light"] = "resnet101"
    """Stem: which ResNet."""
    max_position_embeddings: int = Field(default=1024, gt=0, le=_LARGEST)
    """Longest text in tokens; the position table has two rows more."""
    token_bucket_size: int = Field(default=256, gt=1, le=_LARGEST)
    image_bucket_size: int = Field(default=42, gt=0, le=_LARGEST_GRID)
    """Largest image grid, in patches per side."""
    attn_scale_factor: float = Field(default=2.0, gt=0)
    """Attention scale is (head_dim * attn_scale_factor) ** -0.5."""
    bos_token_id: int = 0
    pad_token_id: int = 1
    eos_token_id: int = 2
    unk_token_id: int = 3
    streams: Streams = "joint"
    """`decomposed`: image and text attend only to themselves and exit separately. `joint`: one stream."""
    quirks: Quirks = Quirks()

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, name):
                raise ValueError(f"d_model {self.d_model} is not a multiple of {name} {getattr(self, name)}")
        return self

    @model_validator(mode="after")
    def _special_tokens_exist(self) -> Self:
        for name in ("bos_token_id", "pad_token_id", "eos_token_id", "unk_token_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise ValueError(f"{name} {getattr(self, name)} is no row of the {self.vocab_size} of vocab_size")
        return self

    @property
    def stem_channels(self) -> int:
        """Channels out of the stem's third stage."""
        return RESNETS[self.resnet_type][1] * 16


Thresholds = float | tuple[float, ...]
KvPolicy = Literal["propagate", "just_in_time", "holes"]
ScheduleName = Literal["constant", "paper", "published"]
DecoderSignal = Literal["similarity", "confidence"]


class ExitConfig(Config):
    """When a row may stop. Changes results, so it is part of the fingerprint.

    A threshold is one number for the stream, or one per layer. A threshold of 1 or more means never exit.
    """

    image: Thresholds = 1.0
    """Cosine threshold of the image stream (decomposed checkpoints)."""
    text: Thresholds = 1.0
    """Cosine threshold of the text stream (decomposed checkpoints)."""
    joint: Thresholds = 1.0
    """Cosine threshold of the one encoder stream of joint checkpoints."""
    decoder: Thresholds = 1.0
    """Threshold of every decoded token: a cosine, or a probability, see `decoder_signal`."""
    candidates: Thresholds | None = None
    """Cosine threshold of the decoder where answers are scored, all candidates of a row as one; None: the decoder's, if
    that is a cosine, else never."""
    schedule: ScheduleName = "constant"
    """How the decoder threshold changes over the steps."""
    decoder_signal: DecoderSignal = "similarity"
    """What thresholds of decoded tokens are of: `similarity`, as the paper has it, or `confidence`, the head's highest
    probability, for which the head runs at every layer that is asked; a token that leaves there has its logits."""
    kv_policy: KvPolicy = "propagate"
    """Keys and values of skipped decoder layers, when a later token goes deeper: `propagate` projects the exit state,
    `just_in_time` runs the layers that were skipped, `holes` leaves them out, as the published code does."""

    def per_layer(self, model: ModelConfig) -> dict[str, tuple[float, ...]]:
        """Return the thresholds of each stage that has some, one per layer of `model`; raise `ConfigError` if not."""
        encoder, decoder = model.encoder_layers, model.decoder_layers
        depths = {"image": encoder, "text": encoder, "joint": encoder, "decoder": decoder, "candidates": decoder}
        thresholds = {}
        for stage, depth in depths.items():
            value: Thresholds | None = getattr(self, stage)
            if value is None:
                continue
            values = value if isinstance(value, tuple) else (value,) * depth
            if len(values) != depth:
                raise ConfigError(f"exits.{stage} has {len(values)} thresholds, but the model has {depth} layers there")
            thresholds[stage] = values
        return thresholds


class GenerationConfig(Config):
    """How text is decoded. Changes results, so it is part of the fingerprint."""

    max_tokens: int = Field(default=16, gt=0)
    """Most tokens of one text, end of sequence included."""
    beams: int = Field(default=1, gt=0, le=64)
    """Beam width; 1 is greedy decoding. OFA's captions are made with 5."""
    no_repeat_ngram: int = Field(default=3, ge=0)
    """No n-gram of this length occurs twice in a text; 0 switches the rule off."""

    def check_fits(self, model: ModelConfig) -> None:
        """Raise `ConfigError` if a text could be longer than the positions that `model` has."""
        if self.max_tokens > model.max_position_embeddings:
            limit = model.max_position_embeddings
            raise ConfigError(f"generation.max_tokens = {self.max_tokens}: the model has positions for {limit} tokens")


BatchPolicy = Literal["compact", "wait_all", "mask"]
EnginePolicy = Literal["regroup", "compact", "wait_all", "mask"]
AttentionBackend = Literal["auto", "numba", "triton", "gathered"]


class EngineConfig(Config):
    """How rows are batched. Must not change any row's result."""

    policy: EnginePolicy = "regroup"
    """`regroup` lets rows that are equally deep share groups, whatever batch they came in. The others run a batch from
    beginning to end: `compact` drops exited rows from it at once; `wait_all` goes on until its last row exits; `mask`
    computes every layer for every row."""
    group_size: int = Field(default=32, gt=0)
    """Most rows of one batch; of `regroup`, most tokens that pass a decoder layer or the head together."""
    image_group_size: int = Field(default=16, gt=0)
    """Most images that pass the stem or an encoder layer together (`regroup`)."""
    rows_in_flight: int | None = Field(default=None, gt=0)
    """Most rows in the decoder at a time (`regroup`); left out: enough that some layer always has a full group."""
    memory_mib: int | None = Field(default=None, gt=0)
    """Most memory in MiB that rows in flight may take (`regroup`); where that is too little for full groups, groups
    are thinner. Left out: half of what is free when the engine starts."""
    attention: AttentionBackend = "auto"
    """How decoder tokens attend (`regroup`): `numba` on a CPU and `triton` on CUDA read keys and values in place,
    `gathered` copies them; auto takes what is fastest here."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """torch device: cpu, cuda, cuda:1, or auto, which takes CUDA where there is one."""
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "float32"
    """Computation dtype. It can change rows within the tolerance of the fingerprint, where it is recorded."""
    threads: int = Field(default=0, ge=0)
    """CPU threads of torch in an actor; 0: `mue run` shares the machine's cores out, elsewhere torch chooses."""
    rows_per_s: float | None = Field(default=None, gt=0)
    """Most rows that one actor finishes in a second; left out: as many as it can. For a device that others use too."""

    def check_fits(self, exits: ExitConfig, generation: GenerationConfig) -> None:
        """Raise `ConfigError` if this policy cannot decode as the job asks."""
        if self.policy == "regroup":
            return
        if generation.beams > 1:
            raise ConfigError(f"engine.policy = {self.policy}: decodes greedily only; generation.beams needs regroup")
        if exits.kv_policy == "just_in_time":
            raise ConfigError(f"engine.policy = {self.policy}: exits.kv_policy just_in_time needs regroup")
