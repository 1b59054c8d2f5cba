"""OFA's encoder and decoder (arXiv 2202.03052), every piece callable on its own.

Module and parameter names are those of the published Hugging Face checkpoints. Nothing here decides when a
row stops: `reference` and `engine` call the pieces, an exit policy decides.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from mue_model.config import RESNETS, ModelConfig
from mue_model.layers import DecoderLayer, EncoderLayer
from mue_model.positions import head_products, image_buckets, image_position_ids, token_buckets
from mue_model.stem import Stem

PIXEL_MEAN = PIXEL_STD = 127.5
TEXT_TYPE, IMAGE_TYPE = 0, 1


class PositionTables(nn.Module):
    """The position parameters that encoder and decoder have in common."""

    def __init__(self, config: ModelConfig, layers: int, heads: int) -> None:
        super().__init__()
        self.bucket_size = config.token_bucket_size
        self.image_bucket_size = config.image_bucket_size
        self.max_position = config.max_position_embeddings
        width = config.d_model
        self.embed_positions = nn.Embedding(config.max_position_embeddings + 2, width)
        self.embed_image_positions = nn.Embedding(config.image_bucket_size**2 + 1, width)
        self.pos_ln = nn.LayerNorm(width)
        self.image_pos_ln = nn.LayerNorm(width)
        token_rows = 2 * config.token_bucket_size - 1
        image_rows = (2 * config.image_bucket_size - 1) ** 2 + 3
        self.token_rel_pos_table_list = nn.ModuleList(nn.Embedding(token_rows, heads) for _ in range(layers))
        self.image_rel_pos_table_list = nn.ModuleList(nn.Embedding(image_rows, heads) for _ in range(layers))
        self.heads = heads
        self.scale = (width // heads * config.attn_scale_factor) ** -0.5

    def text_positions(self, start: int, stop: int) -> Tensor:
        """Normalised position embeddings [stop - start, C] of text positions start..stop-1."""
        ids = torch.arange(start, stop, device=self.embed_positions.weight.device)
        return self.pos_ln(self.embed_positions(ids))

    def image_positions(self, grid: tuple[int, int]) -> Tensor:
        """Normalised position embeddings [P, C] of an image grid."""
        ids = image_position_ids(grid, self.image_bucket_size, self.embed_positions.weight.device)
        return self.image_pos_ln(self.embed_image_positions(ids))

    def token_relative_bias(self, layer: int, start: int, stop: int) -> Tensor:
        """Relative bias [H, stop - start, stop] of query positions start..stop-1 to key positions 0..stop-1."""
        positions = torch.arange(stop, device=self.embed_positions.weight.device)
        buckets = token_buckets(positions[start:], positions, self.bucket_size)
        return self.token_rel_pos_table_list[layer](buckets).permute(2, 0, 1)

    def image_relative_bias(self, layer: int, grid: tuple[int, int]) -> Tensor:
        """Relative bias [H, P, P] between the patches of a grid."""
        buckets = image_buckets(grid, self.image_bucket_size, self.embed_positions.weight.device)
        return self.image_rel_pos_table_list[layer](buckets).permute(2, 0, 1)


class Encoder(PositionTables):
    """Stem, embeddings, position biases and encoder layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, config.encoder_layers, config.encoder_attention_heads)
        width = config.d_model
        self.quirks = config.quirks
        self.embed_tokens = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.type_embedding = nn.Embedding(2, width)
        self.embed_images = Stem(*RESNETS[config.resnet_type])
        self.image_proj = nn.Linear(config.stem_channels, width)
        self.layernorm_embedding = nn.LayerNorm(width)
        self.patch_layernorm_embedding = nn.LayerNorm(width)
        self.pos_q_linear = nn.Linear(width, width)
        self.pos_k_linear = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            EncoderLayer(width, self.heads, config.encoder_ffn_dim, config.attn_scale_factor)
            for _ in range(config.encoder_layers)
        )
        self.layer_norm = nn.LayerNorm(width)

    def embed_image(self, images: Tensor) -> Tensor:
        """Image state_0: normalised images [N, 3, H, W] -> [N, P, C]."""
        features = self.image_proj(self.embed_images(images))
        return self.patch_layernorm_embedding(features + self.type_embedding.weight[IMAGE_TYPE])

    def embed_text(self, ids: Tensor) -> Tensor:
        """Text state_0: token ids [N, T] -> [N, T, C]."""
        return self.layernorm_embedding(self.embed_tokens(ids) + self.type_embedding.weight[TEXT_TYPE])

    def absolute_bias(self, positions: Tensor) -> Tensor:
        """Absolute bias [H, M, M] between normalised position embeddings [M, C], shared by all layers."""
        queries = self.pos_q_linear(positions) * self.scale
        return head_products(queries, self.pos_k_linear(positions), self.heads)

    def add_relative_bias(self, absolute: Tensor, layer: int, grid: tuple[int, int] | None, text_tokens: int) -> Tensor:
        """Bias [H, M, M] of one layer for a sequence of image patches (or none), then text tokens (or none)."""
        bias = absolute.clone()
        patches = grid[0] * grid[1] if grid else 0
        if grid and not self.quirks.drop_image_rel_bias:
            bias[:, :patches, :patches] += self.image_relative_bias(layer, grid)
        if text_tokens:
            bias[:, patches:, patches:] += self.token_relative_bias(layer, 0, text_tokens)
        return bias


class Decoder(PositionTables):
    """Position biases and decoder layers; the token embedding is the encoder's."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, config.decoder_layers, config.decoder_attention_heads)
        width = config.d_model
        self.layernorm_embedding = nn.LayerNorm(width)
        self.code_layernorm_embedding = nn.LayerNorm(width)  # image generation only; part of every checkpoint
        self.self_pos_q_linear = nn.Linear(width, width)
        self.self_pos_k_linear = nn.Linear(width, width)
        self.cross_pos_q_linear = nn.Linear(width, width)
        self.cross_pos_k_linear = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, self.heads, config.decoder_ffn_dim, config.attn_scale_factor)
            for _ in range(config.decoder_layers)
        )
        self.layer_norm = nn.LayerNorm(width)

    def self_absolute_bias(self, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Absolute self-attention bias [H, Q, K] between normalised position embeddings."""
        return self.self_position_products(query_positions, self.self_pos_k_linear(key_positions))

    def self_position_products(self, query_positions: Tensor, position_keys: Tensor) -> Tensor:
        """Absolute self-attention bias [H, Q, K]; `position_keys` = `self_pos_k_linear` of key positions [K, C]."""
        queries = self.self_pos_q_linear(query_positions) * self.scale
        return head_products(queries, position_keys, self.heads)

    def cross_bias(self, query_positions: Tensor, memory_keys: Tensor) -> Tensor:
        """Cross-attention bias [H, Q, M]; `memory_keys` = `cross_pos_k_linear` of the encoder's positions [M, C]."""
        queries = self.cross_pos_q_linear(query_positions) * self.scale
        return head_products(queries, memory_keys, self.heads)


class MueModel(nn.Module):
    """An OFA encoder-decoder whose pieces are run one at a time."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored as, and what is computed in."""
        return self.encoder.embed_tokens.weight.dtype

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] -> [N, 3, H, W] in [-1, 1], in the model's dtype, on its device."""
        images = pixels.to(self.device).permute(0, 3, 1, 2).to(self.dtype)
        return (images - PIXEL_MEAN) / PIXEL_STD

    def embed_target(self, ids: Tensor) -> Tensor:
        """Decoder state_0: token ids [N, T] -> [N, T, C]."""
        return self.decoder.layernorm_embedding(self.encoder.embed_tokens(ids))

    def logits(self, state: Tensor) -> Tensor:
        """Head: decoder states [N, T, C] -> vocabulary logits [N, T, V]."""
        return self.decoder.layer_norm(state) @ self.encoder.embed_tokens.weight.t()

    def encoder_layer(self, layer: int) -> EncoderLayer:
        """Encoder layer number `layer`."""
        return cast(EncoderLayer, self.encoder.layers[layer])

    def decoder_layer(self, layer: int) -> DecoderLayer:
        """Decoder layer number `layer`."""
        return cast(DecoderLayer, self.decoder.layers[layer])


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return every weight and BatchNorm statistic of a checkpoint by its published name, without allocating."""
    with torch.device("meta"):
        model = MueModel(config)
    return {
        name: tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
