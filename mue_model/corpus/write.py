"""A whole corpus into a folder, continued where an earlier process was stopped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mue_model.corpus.corpus_folder import prepare_folder
from mue_model.corpus.row import Row
from mue_model.corpus.settings import SPLITS, CorpusSettings, Split
from mue_model.corpus.shards import shard_path, write_shard
from mue_model.corpus.sprites import Sprites
from mue_model.corpus.workers import Block, draw_blocks

_ROWS_PER_BLOCK = 50
"""Rows that a process draws at a time: half a second of progress."""

Progress = Callable[[int, int, int, int], None]
"""Is told the rows done and in all, and the shards done and in all."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a call of `draw_corpus` did."""

    rows: int
    """Rows of the corpus."""
    rows_before: int
    """Of these, rows that were there already."""
    shards: int


def draw_corpus(
    folder: Path, settings: CorpusSettings, *, jobs: int = 1, force: bool = False, progress: Progress | None = None
) -> Drawn:
    """Write all shards of a corpus that `folder` lacks; the same bytes whatever `jobs` is and how often it stopped.

    Args:
        folder: `train/`, `val/` and `test/` appear in it, with LICENSE, ATTRIBUTION.md and corpus.json.
        settings: What to draw.
        jobs: Processes that draw.
        force: Replace the corpus that is there.
        progress: Called after every block of rows.

    Raises:
        CorpusError: the folder holds something else, a package is missing, or something could not be written.
    """
    Sprites(settings.size)  # a missing package is to be told before anything is written
    prepare_folder(folder, settings, force=force)
    todo = [(split, shard) for split, shard in _shards(settings) if not shard_path(folder / split, shard).exists()]
    blocks = [block for split, shard in todo for block in _blocks(settings, split, shard)]
    total, shards = sum(settings.rows_of(split) for split in SPLITS), len(_shards(settings))
    before = done = total - sum(stop - start for _, start, stop in blocks)
    with closing(draw_blocks(settings, blocks, jobs=jobs)) as drawn:
        for number, (split, shard) in enumerate(todo, shards - len(todo)):
            rows: list[Row] = []
            for _ in _blocks(settings, split, shard):
                if progress:
                    progress(done, total, number, shards)
                block = next(drawn)
                rows += block
                done += len(block)
            write_shard(folder / split, shard, rows)
    if progress:
        progress(total, total, shards, shards)
    return Drawn(rows=total, rows_before=before, shards=shards)


def _shards(settings: CorpusSettings) -> list[tuple[Split, int]]:
    per_shard = settings.rows_per_shard
    return [(split, shard) for split in SPLITS for shard in range(-(-settings.rows_of(split) // per_shard))]


def _blocks(settings: CorpusSettings, split: Split, shard: int) -> list[Block]:
    start = shard * settings.rows_per_shard
    stop = min(start + settings.rows_per_shard, settings.rows_of(split))
    return [(split, low, min(low + _ROWS_PER_BLOCK, stop)) for low in range(start, stop, _ROWS_PER_BLOCK)]
