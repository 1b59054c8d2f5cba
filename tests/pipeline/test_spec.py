"""What the sections of a job mean, as far as it is not plain from their fields."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.spec import FieldsConfig


@pytest.mark.parametrize(
    ("image", "suffixes", "column"),
    [
        ("jpg;jpeg;png;webp", ("jpg", "jpeg", "png", "webp"), None),
        (" .PNG ; jpg;", ("png", "jpg"), None),
        ("column:image", ("jpg", "jpeg", "png", "webp"), "image"),
        ("gif; column:My Picture;", ("gif",), "My Picture"),
    ],
)
def test_the_image_is_named_by_suffixes_and_a_column(image: str, suffixes: tuple[str, ...], column: str | None) -> None:
    fields = FieldsConfig(image=image)
    assert (fields.image_suffixes, fields.image_column) == (suffixes, column)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("", "no image suffix given"),
        (" ; .", "no image suffix given"),
        ("column:", "give one column"),
        ("jpg;column:a;column:b", "give one column, as in 'column:image'"),
    ],
)
def test_what_names_no_image_is_refused(image: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FieldsConfig(image=image)
