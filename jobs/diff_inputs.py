"""Which shards of two jobs are the same input: by plan where the plans agree, else by name and size.

Whether the images in them are the same is told row by row, by their digests; here whole shards are paired, or refused.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mue_model.config import ConfigError
from pipeline.errors import some
from pipeline.plan import Plan, PlannedShard


@dataclass(frozen=True, kw_only=True)
class PairedInputs:
    """The shards that two jobs share, and those that only one has."""

    same_plan: bool
    """Both planned the same versions of the same places; else shards were paired by name and size."""
    pairs: tuple[tuple[PlannedShard, PlannedShard], ...]
    only_a: tuple[str, ...]
    """URLs of shards that only the first job reads."""
    only_b: tuple[str, ...]


def paired_inputs(a: Plan, b: Plan, *, common: bool = False) -> PairedInputs:
    """Return the shards that both jobs read.

    Args:
        a: The first job's plan.
        b: The second one's.
        common: Go on with the shards that both have where one has others too.

    Raises:
        ConfigError: The inputs differ and `common` was not asked for, or nothing is shared.
    """
    inputs_a, inputs_b = a.fingerprint_parts.get("inputs"), b.fingerprint_parts.get("inputs")
    if inputs_a and inputs_a == inputs_b and len(a.shards) == len(b.shards):
        pairs = tuple(zip(a.shards, b.shards, strict=True))
        return PairedInputs(same_plan=True, pairs=pairs, only_a=(), only_b=())
    named_a, named_b = dict(_named(a.shards)), dict(_named(b.shards))
    pairs = tuple((shard, named_b[name]) for name, shard in named_a.items() if name in named_b)
    only_a = tuple(shard.url for name, shard in named_a.items() if name not in named_b)
    only_b = tuple(shard.url for name, shard in named_b.items() if name not in named_a)
    if (only_a or only_b) and not common:
        differences = [f"only in {which}: {some(urls)}" for which, urls in (("A", only_a), ("B", only_b)) if urls]
        way_out = "add --common to compare what both read" if pairs else "compare jobs over the same shards"
        raise ConfigError(f"the two jobs read different inputs ({'; '.join(differences)}); {way_out}")
    if not pairs:
        raise ConfigError("the two jobs have no shard in common, by name and size")
    return PairedInputs(same_plan=False, pairs=pairs, only_a=only_a, only_b=only_b)


_Name = tuple[str, int, str, int]


def _named(shards: Sequence[PlannedShard]) -> Iterator[tuple[_Name, PlannedShard]]:
    """Shards by file name, size, digest of a folder's run, and how many like it came before."""
    seen: Counter[tuple[str, int, str]] = Counter()
    for shard in shards:
        name = posixpath.basename(shard.url.split("?")[0].rstrip("/"))
        like = (name, shard.size, shard.files.first if shard.files else "")
        yield (*like, seen[like]), shard
        seen[like] += 1
