"""Values in messages: short and without secrets, whatever they are."""

from __future__ import annotations

import argparse
import datetime
from typing import Any

import pytest

from mue_model.brief import brief, cut, masked

LONG = f"s3://AKIA:{'hunter2' * 1000}@b/out"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9, "0.9"),
        (None, "None"),
        (datetime.date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
        ({"image": [1, 2]}, "{'image': [1, 2]}"),
        ("s3://b/out", "'s3://b/out'"),
        ("a@b", "'a@b'"),
        ("s3://AKIA:hunter2@b/out", "'s3://…@b/out'"),
        ("https://h/p/a/hunter2@b", "'https://…@b'"),
        ({"url": ["https://u:hunter2@h/x"]}, "{'url': ['https://…@h/x']}"),
        ("model=https://u:hunter2@h/x: y: [", "'model=https://…@h/x: y: ['"),
        ("user:hunter2@registry.example.com/mue:1", "'…@registry.example.com/mue:1'"),
        ("https://h/a.tar?X-Amz-Signature=hunter2&b=1", "'https://h/a.tar?X-Amz-Signature=…&b=…'"),
        (LONG, "'s3://…@b/out'"),
        (argparse.Namespace(a=1), "<Namespace>"),
    ],
)
def test_shown(value: Any, shown: str) -> None:
    assert brief(value) == shown


def test_a_number_that_python_does_not_write_is_counted() -> None:
    assert brief({"seed": 10**5000}) == "{'seed': <a whole number of 5,001 digits>}"


def test_no_value_makes_a_long_message() -> None:
    bomb: Any = ["x"] * 9
    for _ in range(30):
        bomb = [bomb] * 9
    for value in (
        bomb,
        argparse.Namespace(a=bomb),
        {"a": bomb},
        "x" * 10**6,
        b"x" * 10**6,
        {i: i for i in range(10**4)},
    ):
        assert len(brief(value)) < 5000


def test_texts_are_cut_at_their_end() -> None:
    assert cut("a" * 120) == "a" * 120
    assert cut("a" * 121) == "a" * 117 + "..."
    assert len(masked("x" * 10**6)) == 4096
