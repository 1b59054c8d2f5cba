"""The tables that flow through the pipeline, each one fixed Arrow schema, and the words in their columns.

`RAW_SCHEMA` (shard reader -> decode) -> `DECODED_SCHEMA` (decode -> actor) -> `COMMIT_SCHEMA` (actor -> sink)
-> `ROW_SCHEMA` (data files). Up to the actor a row is an image with all that is asked about it; from there on it is one
query. Each of the first three also carries one control row per shard, its last, with the shard's total: `shard_total`
is null on every other row.
"""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa

ROW_SCHEMA_VERSION = 3
DECODED_SCHEMA_VERSION = 2
RESULTS_VERSION = 1
"""Bumped whenever the same input and settings may give another text or other layers."""


class RowStatus(StrEnum):
    """What became of a row."""

    OK = "ok"
    FAILED = "failed"
    FILTERED = "filtered"


class ErrorStage(StrEnum):
    """Where a row failed."""

    READ = "read"
    DECODE = "decode"
    PREPROCESS = "preprocess"
    INFER = "infer"
    WRITE = "write"


class ErrorCode(StrEnum):
    """What may go wrong with a row."""

    MISSING_IMAGE = "missing_image"
    """The row has no image: no member with an image suffix, only a link, a null, or a path to nothing."""
    EMPTY_IMAGE = "empty_image"
    """The image member has zero bytes."""
    MEMBER_TOO_LARGE = "member_too_large"
    """The image member is larger than the reader accepts."""
    TRUNCATED_MEMBER = "truncated_member"
    """The tar ends inside the image member."""
    UNREADABLE_IMAGE = "unreadable_image"
    """The image is a file or an object of its own, and storage does not give it, or it is no regular file."""
    UNKNOWN_FORMAT = "unknown_format"
    """The bytes are no image of a known format."""
    CORRUPT_IMAGE = "corrupt_image"
    """The image is broken or cut."""
    TOO_MANY_PIXELS = "too_many_pixels"
    """The image's header announces more pixels than the limit."""
    BAD_DIMENSIONS = "bad_dimensions"
    """Width or height is zero, or the sides are too unequal to resize."""
    BAD_FIELD = "bad_field"
    """A text field is missing or cannot be read."""
    PROMPT_TOO_LONG = "prompt_too_long"
    """The prompt has more tokens than the model has positions."""
    MODEL_ERROR = "model_error"
    """The model raised on this row."""
    NONFINITE = "nonfinite"
    """The model produced NaN or infinity on this row."""
    OUT_OF_MEMORY = "out_of_memory"
    """The row does not fit into device memory even alone."""
    POISON = "poison"
    """The process died, or hung and was ended, each time it had the row in hand, at last the row alone."""

    @property
    def permanent(self) -> bool:
        """Whether another attempt at the same input and settings must fail in the same way."""
        return self not in _PASSING


_PASSING = (
    ErrorCode.UNREADABLE_IMAGE,
    ErrorCode.MODEL_ERROR,
    ErrorCode.NONFINITE,
    ErrorCode.OUT_OF_MEMORY,
    ErrorCode.POISON,
)
"""What a machine or a storage may have to do with; all other codes follow from the row's own bytes."""


class ShardState(StrEnum):
    """How the reading of a shard ended."""

    DONE = "done"
    BAD = "bad"


class ShardCode(StrEnum):
    """What may go wrong with a whole shard."""

    EMPTY_FILE = "empty_file"
    """The shard has zero bytes."""
    CORRUPT_HEADER = "corrupt_header"
    """A tar header's checksum or fields are wrong."""
    TRUNCATED = "truncated"
    """The tar ends without an end-of-archive marker, or inside a member."""
    TRAILING_DATA = "trailing_data"
    """Something other than zeros follows the end-of-archive marker."""
    BAD_COMPRESSION = "bad_compression"
    """The compressed stream is broken."""
    BAD_PARQUET = "bad_parquet"
    """The Parquet file's footer or pages are broken."""
    BAD_COLUMN = "bad_column"
    """The Parquet file has no column of images, or it is not clear which one it is."""
    UNREADABLE = "unreadable"
    """The shard could not be opened or read from storage."""
    CHANGED = "changed"
    """The shard's size, etag or files differ from the plan."""


_IDENTITY = [
    pa.field("uid", pa.string()),
    pa.field("shard_id", pa.string(), nullable=False),
    pa.field("shard_uri", pa.string()),
    pa.field("key", pa.string()),
    pa.field("row_in_shard", pa.int64()),
    pa.field("query", pa.int32()),
]
_CONTROL = [
    pa.field("shard_total", pa.int64()),
    pa.field("shard_state", pa.string()),
    pa.field("shard_code", pa.string()),
    pa.field("shard_message", pa.string()),
]
_ERROR = [
    pa.field("status", pa.string()),
    pa.field("error_stage", pa.string()),
    pa.field("error_code", pa.string()),
    pa.field("error_message", pa.string()),
]

RAW_SCHEMA = pa.schema(
    [
        *_IDENTITY,
        pa.field("image", pa.large_binary()),
        pa.field("image_suffix", pa.string()),
        pa.field("member_offset", pa.int64()),
        pa.field("meta_json", pa.string()),
        pa.field("read_ms", pa.float32()),
        *_ERROR,
        *_CONTROL,
    ]
)


_CANDIDATE = pa.struct([pa.field("label", pa.string()), pa.field("ids", pa.list_(pa.int32()))])
QUERY = pa.struct(
    [
        pa.field("query", pa.int32()),
        pa.field("prompt", pa.string()),
        pa.field("prompt_ids", pa.list_(pa.int32())),
        pa.field("candidates", pa.list_(_CANDIDATE)),
        *_ERROR,
    ]
)
"""One query about an image, with a status and an error of its own. Without candidates text is generated."""


def decoded_schema(image_size: int) -> pa.Schema:
    """`DECODED_SCHEMA` v2 for images of side S: `pixels` is uint8 [S, S, 3] in row-major order.

    One row per image: `queries` holds what is asked about it, `uid` and `query` are those of the first. Status and
    error are the image's; where the image is `ok` each query's own count.
    """
    return pa.schema(
        [
            *_IDENTITY,
            pa.field("task", pa.string()),
            pa.field("queries", pa.list_(QUERY)),
            pa.field("pixels", pa.binary(image_size * image_size * 3)),
            pa.field("image_sha256", pa.string()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("meta_json", pa.string()),
            pa.field("read_ms", pa.float32()),
            pa.field("decode_ms", pa.float32()),
            *_ERROR,
            *_CONTROL,
        ],
        metadata={"decoded_schema_version": str(DECODED_SCHEMA_VERSION), "image_size": str(image_size)},
    )


_TIMINGS = pa.struct(
    [
        pa.field("read_ms", pa.float32()),
        pa.field("decode_ms", pa.float32()),
        pa.field("queue_ms", pa.float32()),
        pa.field("infer_ms", pa.float32()),
    ]
)
_SHADOW = pa.struct(
    [
        pa.field("text", pa.string()),
        pa.field("n_tokens", pa.int32()),
        pa.field("layers", pa.list_(pa.int16())),
        pa.field("flops", pa.int64()),
        pa.field("agrees", pa.bool_()),
    ]
)

REUSED = ("tables", "text", "image", "cross_kv")
"""What `flops_reused` is the sum of: position tables, prompts, images of several rows, and cross-attention keys and
values of those."""

ROW_SCHEMA = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        *[field.with_nullable(False) if field.name in ("row_in_shard", "query") else field for field in _IDENTITY[1:]],
        pa.field("image_sha256", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("task", pa.string(), nullable=False),
        pa.field("prompt", pa.string()),
        pa.field("text", pa.string()),
        pa.field("label", pa.string()),
        pa.field("candidates", pa.list_(pa.struct([pa.field("text", pa.string()), pa.field("score", pa.float64())]))),
        pa.field("finish_reason", pa.string()),
        pa.field("n_tokens", pa.int32()),
        pa.field("tokens", pa.list_(pa.int32())),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error_stage", pa.string()),
        pa.field("error_code", pa.string()),
        pa.field("error_message", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("image_layers_run", pa.int16()),
        pa.field("text_layers_run", pa.int16()),
        pa.field("decoder_layers_run", pa.list_(pa.int16())),
        pa.field("checks", pa.int32()),
        pa.field("flops_executed", pa.int64()),
        pa.field("flops_full_same_length", pa.int64()),
        pa.field("flops_checks", pa.int64()),
        pa.field("flops_kv_fill", pa.int64()),
        pa.field("flops_reused", pa.int64()),
        *[pa.field(f"flops_reused_{what}", pa.int64()) for what in REUSED],
        pa.field("flops_padding", pa.int64()),
        pa.field("timings", _TIMINGS),
        pa.field("shadow", _SHADOW),
        pa.field("meta_json", pa.string()),
        pa.field("attempt_id", pa.string(), nullable=False),
        pa.field("actor", pa.string()),
    ]
)
"""One row per query. `tokens` are the ids that text or label were written with, end of sequence included, so that a row
alone tells whether its text is whole. What is the image's alone, `meta_json` and the times of reading and decoding, is
on the row of its first query; all rows of an image follow each other in one file (`shared_meta`)."""

COMMIT_SCHEMA = pa.schema(
    [*[field.with_nullable(True) for field in ROW_SCHEMA], pa.field("image_queries", pa.int32()), *_CONTROL]
)
"""`image_queries`: how many rows the row's image has, so that an image is committed whole; null where nobody says."""


def row_schema_with_metadata(fingerprint: str) -> pa.Schema:
    """`ROW_SCHEMA` with the key-value metadata that every data file carries."""
    return ROW_SCHEMA.with_metadata(
        {
            "row_schema_version": str(ROW_SCHEMA_VERSION),
            "fingerprint": fingerprint,
            "results_version": str(RESULTS_VERSION),
        }
    )
