"""Says which column of a Parquet file holds its images, or where they are, and which columns pass through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from pipeline.errors import PipelineError, some

ImageForm = Literal["bytes", "struct", "path"]
"""Image bytes; a struct of `bytes` and `path`, as Hugging Face datasets have it; a path or URL."""

_BYTES_NAMES = ("image", "img", "picture", "bytes", "image_bytes")
_PATH_NAMES = ("image", "img", "path", "url", "image_path", "image_url", "file_path", "file_name", "filename", "uri")
_KEY_NAMES = ("__key__", "key")


class ColumnError(PipelineError):
    """There is no column of images, or it is not clear which one it is. The message names the columns there are."""


@dataclass(frozen=True, kw_only=True)
class ImageColumns:
    """What is read of a Parquet file."""

    image: str
    form: ImageForm
    key: str | None
    """Column that holds the rows' keys."""
    passed: tuple[str, ...]
    """Columns whose values go to meta_json: all but the image's and those that hold bytes."""

    @property
    def read(self) -> list[str]:
        """All columns that are read."""
        return list(dict.fromkeys([self.image, *([self.key] if self.key else []), *self.passed]))


def image_columns(schema: pa.Schema, *, named: str | None, suffixes: Sequence[str]) -> ImageColumns:
    """Return what to read of a file with this schema.

    Args:
        schema: Of the file.
        named: The image column; None to find it. Bytes under a usual name go before paths; two of a kind are refused.
        suffixes: Image suffixes; a column of bytes may be named after one, as in `jpg`.

    Raises:
        ColumnError: See there.
    """
    repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if repeated:
        raise ColumnError(f"columns are there twice: {some(repeated)}; write the file with one of each")
    image = _found(schema, suffixes) if named is None else named
    if image not in schema.names:
        raise ColumnError(f"there is no column '{image}'; its columns are {_listed(schema)}")
    form = _form(schema.field(image).type)
    if form is None:
        raise ColumnError(
            f"column '{image}' is of type {schema.field(image).type}; images are binary, a struct of bytes and path, "
            "or paths as strings"
        )
    passed = tuple(field.name for field in schema if field.name != image and not _holds_bytes(field.type))
    key = next((name for name in _KEY_NAMES if name in passed), None)
    return ImageColumns(image=image, form=form, key=key, passed=passed)


def _found(schema: pa.Schema, suffixes: Sequence[str]) -> str:
    forms = {field.name: _form(field.type) for field in schema}
    names = dict.fromkeys((*_BYTES_NAMES, *suffixes))
    of_bytes = [name for name in schema.names if name.lower() in names and forms[name] in ("bytes", "struct")]
    of_paths = [name for name in schema.names if name.lower() in _PATH_NAMES and forms[name] == "path"]
    candidates = of_bytes or of_paths
    if len(candidates) == 1:
        return candidates[0]
    advice = "say which with inputs.fields.image, as in --set inputs.fields.image=column:NAME"
    if candidates:
        raise ColumnError(f"columns {' and '.join(candidates)} may all be the image; {advice}")
    raise ColumnError(f"no column looks like an image; its columns are {_listed(schema)}; {advice}")


def _form(kind: pa.DataType) -> ImageForm | None:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if _is_bytes(kind):
        return "bytes"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "path"
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and _is_bytes(kind.field("bytes").type):
        return "struct"
    return None


def _is_bytes(kind: pa.DataType) -> bool:
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _holds_bytes(kind: pa.DataType) -> bool:
    """Return whether values of the type have bytes anywhere inside."""
    if isinstance(kind, pa.BaseExtensionType):
        return _holds_bytes(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _holds_bytes(kind.value_type)
    return _is_bytes(kind) or any(_holds_bytes(kind.field(index).type) for index in range(kind.num_fields))


def _listed(schema: pa.Schema) -> str:
    return some([f"{field.name} ({field.type})" for field in schema]) or "none"
