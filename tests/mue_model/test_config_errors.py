from __future__ import annotations

from typing import Literal

import pytest
from pydantic import model_validator

from mue_model.config import Config, ConfigError, parse_config


class Inner(Config):
    image: float | tuple[float, ...] = 1.0
    depth: int | None = None
    kind: Literal["constant", "paper"] = "constant"

    @model_validator(mode="after")
    def _not_deep(self) -> Inner:
        if self.depth is not None and self.depth > 9:
            raise ValueError(f"depth {self.depth} is over 9")
        return self


class Outer(Config):
    exits: str | Inner = "default"
    inner: Inner | None = None
    names: tuple[str, ...] = ()
    pairs: tuple[Inner, ...] = ()
    size: int | str | None = None


def message(data: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(Outer, data, where="job.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"exits": {"imgae": 0.9}}, "exits.imgae = 0.9: unknown key, did you mean 'image'?"),
        ({"inner": {"imgae": 0.9}}, "inner.imgae = 0.9: unknown key, did you mean 'image'?"),
        ({"pairs": [{}, {"kidn": 1}]}, "pairs.1.kidn = 1: unknown key, did you mean 'kind'?"),
        ({"zzz": 1}, "zzz = 1: unknown key, known keys here: exits, inner, names, pairs, size"),
        ({"exits": {"image": "abc"}}, "exits.image = 'abc': expected a number or a list of numbers"),
        ({"exits": {"image": [0.1, "abc"]}}, "exits.image.1 = 'abc': expected a number"),
        ({"inner": {"depth": "deep"}}, "inner.depth = 'deep': expected a whole number"),
        ({"exits": 3}, "exits = 3: expected text or a section with the keys depth, image, kind"),
        ({"exits": {"kind": "papre"}}, "exits.kind = 'papre': expected 'constant' or 'paper', did you mean 'paper'?"),
        ({"exits": {"depth": 10}}, "depth 10 is over 9"),
        ({"names": [1]}, "names.0 = 1: expected text"),
        ({"size": [2]}, "size = [2]: expected a whole number or text"),
        (None, "(whole document) = None: expected a section with the keys exits, inner, names, pairs, size"),
    ],
)
def test_one_wrong_key_is_one_clean_line(data: object, expected: str) -> None:
    assert message(data) == f"job.yaml: {expected}"


def test_every_wrong_key_is_reported_once() -> None:
    text = message({"exits": {"imgae": 1, "image": {}}, "names": [1], "unknwon": 2})
    assert text.count(";") == 3
    for key in ("exits.imgae", "exits.image", "names.0", "unknwon"):
        assert text.count(f"{key} = ") == 1


def test_a_long_value_is_shortened() -> None:
    assert len(message({"names": "x" * 5000})) < 300


def test_a_missing_key_is_named() -> None:
    class Needs(Config):
        url: str

    with pytest.raises(ConfigError, match=r"^job.yaml: url: required, but not given$"):
        parse_config(Needs, {}, where="job.yaml")
