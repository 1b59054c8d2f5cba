"""The sizes in which a model can be trained from nothing. No torch import."""

from __future__ import annotations

from typing import Any, Literal

from mue_model.config import ModelConfig, Streams

Size = Literal["small", "tiny"]

SIZES: dict[Size, dict[str, Any]] = {
    "small": {
        "d_model": 192,
        "encoder_layers": 6,
        "encoder_attention_heads": 6,
        "encoder_ffn_dim": 704,
        "decoder_layers": 6,
        "decoder_attention_heads": 6,
        "decoder_ffn_dim": 704,
        "max_position_embeddings": 64,
        "token_bucket_size": 32,
        "image_bucket_size": 8,
    },
    "tiny": {
        "d_model": 32,
        "encoder_layers": 3,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_layers": 3,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 64,
        "token_bucket_size": 16,
        "image_bucket_size": 4,
    },
}
"""`small`: below 7 million parameters with the vocabulary of the drawn corpus. `tiny`: seconds on a CPU, for tests."""

IMAGE_SIZES: dict[Size, int] = {"small": 128, "tiny": 64}
"""Side in pixels to which images are resized."""


def model_config(size: Size, *, vocab_size: int, streams: Streams) -> ModelConfig:
    """Return the architecture of a size, with the light stem."""
    return ModelConfig(vocab_size=vocab_size, resnet_type="light", streams=streams, **SIZES[size])
