"""Image bytes to uint8 pixels and a task to prompt ids, on the CPU: everything in front of the model.

The model itself scales pixels to [-1, 1] (mean = std = 0.5); what travels is uint8 [S, S, 3].
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from mue_model.brief import brief
from mue_model.images import DEFAULT_MAX_PIXELS, MAX_SIDE, ImageError, check_size, decode_image, to_rgb
from mue_model.regular_file import read_bounded
from mue_model.strict_json import strict_json
from mue_model.tokenizer import Tokenizer

__all__ = ["CAPTION_PROMPT", "PROMPTS", "ImageError", "Processor", "ProcessorError", "decode_image", "resize_pixels"]

CAPTION_PROMPT = " what does the image describe?"
"""OFA's caption prompt; the leading space belongs to it."""

PROMPTS = {"caption": CAPTION_PROMPT}
"""The constant prompt of each task that has one."""

CONFIG_FILE = "preprocessor_config.json"
_FIXED: dict[str, Any] = {
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": int(Image.Resampling.BICUBIC),
}


class ProcessorError(ValueError):
    """A preprocessor_config.json cannot be used. The message names the file, the key and what is supported."""


def resize_pixels(image: Image.Image, size: int) -> np.ndarray:
    """Return `image` (RGB) as uint8 [size, size, 3]: Pillow's bicubic, the whole image, sides not kept in proportion.

    Raises:
        ImageError: `bad_dimensions` if a side is zero or longer than `MAX_SIDE`.
    """
    if image.mode != "RGB":
        raise ValueError(f"resize_pixels takes an RGB image, not {image.mode}; use to_rgb first")
    check_size(image.size, max_pixels=MAX_SIDE * MAX_SIDE)
    try:
        return np.array(image.resize((size, size), Image.Resampling.BICUBIC))
    except MemoryError as error:
        message = f"not enough memory to resize {image.width} x {image.height} pixels; lower max_pixels"
        raise ImageError("too_many_pixels", message) from error


@dataclass(frozen=True, kw_only=True)
class Processor:
    """What a checkpoint expects in front of it. Immutable, picklable, without torch."""

    tokenizer: Tokenizer
    image_size: int
    """Side S in pixels to which images are resized."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Most pixels an image's header may announce. Not saved: it is a setting of the job."""

    def __post_init__(self) -> None:
        if self.image_size <= 0:
            raise ValueError(f"image_size = {self.image_size}: must be a positive number of pixels")

    def pixels(self, image: bytes | Image.Image) -> np.ndarray:
        """Return an image file's bytes, or an open image, as uint8 [S, S, 3]; raise `ImageError` if it is bad."""
        rgb = decode_image(image, max_pixels=self.max_pixels) if isinstance(image, bytes) else to_rgb(image)
        return resize_pixels(rgb, self.image_size)

    def prompt_ids(self, task: str = "caption") -> tuple[int, ...]:
        """Return the token ids of the task's constant prompt, with bos and eos."""
        if task not in PROMPTS:
            raise ValueError(f"task '{task}' has no constant prompt; tasks that have one: {', '.join(PROMPTS)}")
        return self.tokenizer.encode(PROMPTS[task])

    def to_json(self) -> dict[str, Any]:
        """Return the content of preprocessor_config.json."""
        return {**_FIXED, "size": {"height": self.image_size, "width": self.image_size}}

    def save(self, folder: str | Path) -> None:
        """Write preprocessor_config.json and the tokenizer's files into `folder`."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(path)
        (path / CONFIG_FILE).write_text(json.dumps(self.to_json(), indent=2, sort_keys=True) + "\n", "utf-8")

    @classmethod
    def from_folder(
        cls, folder: str | Path, *, vocab_size: int | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
    ) -> Self:
        """Read a model folder. `vocab_size` is that of its config.json, if known (see `Tokenizer.from_folder`)."""
        size = _read_image_size(Path(folder) / CONFIG_FILE)
        tokenizer = Tokenizer.from_folder(folder, vocab_size=vocab_size)
        return cls(tokenizer=tokenizer, image_size=size, max_pixels=max_pixels)


def _read_image_size(path: Path) -> int:
    """Return S, having made sure that the file asks for nothing else than what is implemented."""
    try:
        config = strict_json(read_bounded(path).decode())
    except FileNotFoundError as error:
        raise ProcessorError(f"{path} is missing; `Processor.save` writes one into a model folder") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ProcessorError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise ProcessorError(f"{path} holds no JSON object")
    for key, supported in _FIXED.items():
        if config.get(key, supported) != supported:
            raise ProcessorError(f"{path}: {key} = {brief(config[key])} is not supported, only {supported!r}")
    size = config.get("size")
    if isinstance(size, dict) and size.get("height") == size.get("width"):
        size = size.get("height")
    if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
        raise ProcessorError(f"{path}: size = {brief(size)}; expected one positive number, or height = width")
    return size
