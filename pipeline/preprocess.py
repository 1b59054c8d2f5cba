"""Raw rows to decoded rows: every row that goes in comes out, a bad image as a failed row with its code.

Runs in plain CPU tasks, one image in memory at a time. Knows no Ray: `DecodeRows` is a function of one Arrow table.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from mue_model.config import GenerationConfig
from mue_model.model_folder import ModelFacts
from mue_model.processor import PROMPTS, ImageError, Processor, decode_image, resize_pixels
from pipeline.records import ErrorCode, ErrorStage, RowStatus, decoded_schema
from pipeline.row_queries import OnePrompt, OwnTexts
from pipeline.spec import JobSpec

_ERROR_COLUMNS = ("status", "error_stage", "error_code", "error_message")
_IMAGE_COLUMNS = ("image_sha256", "width", "height", "decode_ms")
_ASKED_COLUMNS = ("task", "queries")
_BYTES_PER_TOKEN = 16
"""Of a text and the layers run for it, generously."""


@dataclass(frozen=True, kw_only=True)
class DecodeRows:
    """`RAW_SCHEMA` tables in, `decoded_schema(image_size)` tables out. Picklable, holds no tokenizer."""

    image_size: int
    """Side S in pixels of every image that comes out."""
    task: str
    queries: OnePrompt | OwnTexts
    """What is asked about each image."""
    max_pixels: int
    """Most pixels an image's header may announce."""
    min_side: int = 0
    """Shortest image side in pixels that is sent to the model."""

    @classmethod
    def from_processor(cls, processor: Processor, *, task: str = "caption", min_side: int = 0) -> Self:
        """Return the settings that give each image what `processor` gives for it, and the constant prompt of `task`."""
        return cls(
            image_size=processor.image_size,
            task=task,
            queries=OnePrompt(prompt=PROMPTS[task], prompt_ids=processor.prompt_ids(task)),
            max_pixels=processor.max_pixels,
            min_side=min_side,
        )

    @classmethod
    def of_job(cls, spec: JobSpec, facts: ModelFacts, generation: GenerationConfig) -> Self:
        """Return the settings of a job whose model has these facts."""
        processor = replace(facts.processor, max_pixels=spec.inputs.max_pixels)
        field = spec.inputs.fields.asked(spec.task)
        if field is None:
            return cls.from_processor(processor, task=spec.task, min_side=spec.filters.min_side)
        queries = OwnTexts(
            task=spec.task,
            field=field,
            model=facts.name,
            digest=facts.digest,
            max_queries=spec.inputs.max_queries,
            answer_bytes=_BYTES_PER_TOKEN * generation.max_tokens,
        )
        return cls(
            image_size=processor.image_size,
            task=spec.task,
            queries=queries,
            max_pixels=processor.max_pixels,
            min_side=spec.filters.min_side,
        )

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the decoded rows, in the same order."""
        return decode_table(table, self)


def decode_table(table: pa.Table, settings: DecodeRows) -> pa.Table:
    """Return one decoded row per raw row, in order; raise nothing because of what an image holds.

    Rows that the reader failed, and control rows, pass unchanged. `pixels` is zero unless the status is `ok`.
    """
    size = settings.image_size
    schema = decoded_schema(size)
    pixels = np.zeros((table.num_rows, size, size, 3), np.uint8)
    rows = [
        _decode_row(row, image.as_py(), pixels[i], settings)
        for i, (row, image) in enumerate(zip(_raw_rows(table), table.column("image"), strict=True))
    ]
    columns: dict[str, Any] = {name: table.column(name) for name in schema.names if name in table.column_names}
    for name in (*_ERROR_COLUMNS, *_IMAGE_COLUMNS, *_ASKED_COLUMNS):
        columns[name] = pa.array([row.get(name) for row in rows], schema.field(name).type)
    # One buffer for the whole table, filled in place: bytes objects per row would double the memory.
    columns["pixels"] = pa.FixedSizeBinaryArray.from_buffers(
        schema.field("pixels").type, table.num_rows, [None, pa.py_buffer(pixels)]
    )
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _raw_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the small columns that decide what happens to a row."""
    names = ["key", "shard_uri", "meta_json", "shard_total", *_ERROR_COLUMNS]
    rows: list[dict[str, Any]] = table.select(names).to_pylist()
    return rows


def _decode_row(row: dict[str, Any], image: bytes | None, out: np.ndarray, settings: DecodeRows) -> dict[str, Any]:
    """Return the values of the columns that decoding fills, and write the pixels of a good row to `out` [S, S, 3]."""
    if row["shard_total"] is not None:
        return row
    asked = {"task": settings.task, "queries": settings.queries.of(row)}
    if image is not None:
        asked["image_sha256"] = hashlib.sha256(image).hexdigest()
    if row["status"] in (RowStatus.FAILED, RowStatus.FILTERED):
        return row | asked
    if image is None:
        message = "the row came without an image, and without an error of the reader"
        return asked | _failed(ErrorStage.DECODE, ErrorCode.MISSING_IMAGE, message)
    start = time.perf_counter()
    result = _decode_image(image, out, settings)
    return asked | result | {"decode_ms": (time.perf_counter() - start) * 1e3}


def _decode_image(image: bytes, out: np.ndarray, settings: DecodeRows) -> dict[str, Any]:
    try:
        rgb = decode_image(image, max_pixels=settings.max_pixels)
    except ImageError as error:
        return _failed(ErrorStage.DECODE, ErrorCode(error.code), error.message)
    found = {"width": rgb.width, "height": rgb.height}
    if min(rgb.size) < settings.min_side:
        message = f"{rgb.width} x {rgb.height} pixels: a side is shorter than filters.min_side = {settings.min_side}"
        return found | {"status": RowStatus.FILTERED, "error_message": message}
    try:
        out[:] = resize_pixels(rgb, settings.image_size)
    except ImageError as error:
        return found | _failed(ErrorStage.PREPROCESS, ErrorCode(error.code), error.message)
    return found | {"status": RowStatus.OK}


def _failed(stage: ErrorStage, code: ErrorCode, message: str) -> dict[str, Any]:
    return {"status": RowStatus.FAILED, "error_stage": stage, "error_code": code, "error_message": message}
