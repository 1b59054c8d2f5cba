"""One row of the corpus: the picture, its captions, and everything that is known about it."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mue_model.corpus.captions import captions_of
from mue_model.corpus.draws import Draws
from mue_model.corpus.families import scene_of
from mue_model.corpus.hypotheses import hypotheses_of
from mue_model.corpus.licence import ATTRIBUTION, LICENCE, LICENCE_URL
from mue_model.corpus.picture import Picture, paint
from mue_model.corpus.questions import questions_of
from mue_model.corpus.scene import Scene
from mue_model.corpus.settings import CORPUS_VERSION, CorpusSettings, Split
from mue_model.corpus.sprites import Sprites

_JPEG_QUALITY = 92
_ATTEMPTS = 60
"""Layouts that are tried until nothing is hidden too much."""
_MOST_VISIBLE_BEHIND = 0.9
"""Of a thing that stands behind another as much is to be seen at most."""


@dataclass(frozen=True, slots=True)
class Row:
    """What goes into a shard for one picture."""

    key: str
    jpg: bytes
    caption: str
    facts: dict[str, Any]
    """The row's JSON document."""


def draw_row(settings: CorpusSettings, split: Split, number: int) -> Row:
    """Return the row with this number in its split: a function of the arguments and `CORPUS_VERSION` alone."""
    scene, picture = _painted(settings, split, number)
    shard, place = divmod(number, settings.rows_per_shard)
    key = f"{shard:05d}{place:04d}"
    buffer = io.BytesIO()
    picture.image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    captions = captions_of(scene)
    return Row(key, buffer.getvalue(), captions[0], _facts(settings, scene, picture, number, key, captions, buffer))


def _painted(settings: CorpusSettings, split: Split, number: int) -> tuple[Scene, Picture]:
    """Return the scene in the first layout in which all is plain to see, else in the best one."""
    sprites = _sprites(settings.size)
    best: tuple[float, Scene, Picture] | None = None
    for attempt in range(_ATTEMPTS):
        scene = scene_of(settings, split, number, attempt=attempt)
        draws = Draws(CORPUS_VERSION, settings.seed, split, number, "paint", attempt)
        picture = paint(scene, sprites, settings.size, draws)
        behind = picture.clear_of_things[1] if scene.family == "overlap" else 0.0
        fault = max(picture.fault, behind - _MOST_VISIBLE_BEHIND)
        if best is None or fault < best[0]:
            best = fault, scene, picture
        if fault <= 0:
            break
    assert best is not None
    return best[1:]


def _facts(
    settings: CorpusSettings,
    scene: Scene,
    picture: Picture,
    number: int,
    key: str,
    captions: tuple[str, ...],
    jpg: io.BytesIO,
) -> dict[str, Any]:
    """Return the JSON document: first the fields that img2dataset writes, then ours."""
    names: tuple[int | str, ...] = (CORPUS_VERSION, settings.seed, scene.split, number)
    return {
        "url": None,
        "caption": captions[0],
        "key": key,
        "status": "success",
        "error_message": None,
        "width": settings.size,
        "height": settings.size,
        "original_width": settings.size,
        "original_height": settings.size,
        "exif": "{}",
        "sha256": hashlib.sha256(jpg.getvalue()).hexdigest(),
        "license": LICENCE,
        "license_url": LICENCE_URL,
        "attribution": ATTRIBUTION,
        "corpus_version": CORPUS_VERSION,
        "seed": settings.seed,
        "split": scene.split,
        "part": scene.part,
        "level": scene.level,
        "family": scene.family,
        "references": list(captions),
        "objects": [
            {
                "noun": thing.noun,
                "color": thing.colour,
                "size": thing.size,
                "box": box,
                "visible": visible,
                "openmoji": thing.picture,
            }
            for thing, box, visible in zip(scene.things, picture.boxes, picture.visible, strict=True)
        ],
        "background": {"kind": picture.background, "palette": scene.palette},
        "ve": hypotheses_of(scene, Draws(*names, "hypotheses")),
        "vqa": questions_of(scene, Draws(*names, "questions")),
    }


def facts_as_json(facts: dict[str, Any]) -> bytes:
    """Return the JSON document as the bytes that a shard holds."""
    return json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode()


@lru_cache(maxsize=2)
def _sprites(canvas: int) -> Sprites:
    return Sprites(canvas)
