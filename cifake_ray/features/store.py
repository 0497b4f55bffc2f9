"""The feature cache: one entry per (pictures, weights, size, square, look, stage, statistic).

Entries are found by a hash of everything that determines the values, and verified by their digest each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifake_ray.console import Progress
from cifake_ray.errors import InputError
from cifake_ray.features.extraction import Spent, build_features, missing_features
from cifake_ray.features.places import Pictures, distinct_passes, entries_of, pass_key
from cifake_ray.features.shards import RunShards, local_shards
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.storage.cache import read_entry


@dataclass(frozen=True)
class FeatureSet:
    """Cached features of one image set and backbone pass, as paths: cheap to send to other processes.

    `extracted`: images that went through the backbone in this call (0: all came from the cache); `seconds` wall,
    `cpu_seconds` summed over workers. Passes extracted together share the two evenly.
    """

    spec: FeatureSpec
    count: int
    entries: dict[str, Path]
    extracted: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def columns(self, names: Sequence[str]) -> list[np.ndarray]:
        """float16 [n, d] of each `stage.statistic` of `names`, memory-mapped. Raises InputError."""
        unknown = [name for name in names if name not in self.entries]
        if unknown:
            raise InputError(f"features {unknown[0]}: not in this set, which goes up to {self.spec.last_stage}")
        found = [read_entry(self.entries[name], verify=False) for name in names]
        if None in found:
            raise InputError(f"{self.entries[names[found.index(None)]]}: gone from the cache", "run the command again")
        return [entry.arrays["values"] for entry in found if entry]


def ensure_features(
    part: Pictures,
    specs: Sequence[FeatureSpec],
    *,
    run_shards: RunShards | None = None,
    progress: Progress | None = None,
) -> list[FeatureSet]:
    """The features of `part` of each pass; missing and damaged entries are extracted.

    Pictures that are held decoded are extracted one pass after another. Packed ones are decoded once for all passes.
    `progress`: pictures times passes done (those of an interrupted extraction included) and in all. A second process
    waits for the first and extracts nothing. Raises InputError when the cache folder cannot be written.
    """
    distinct = distinct_passes(part, specs)
    together = [distinct] if part.pixels.side is None else [[spec] for spec in distinct]
    lacking = [(group, count) for group in together if (count := sum(bool(missing_features(part, s)) for s in group))]
    total, before = sum(count for _, count in lacking), 0
    spent: dict[str, Spent] = {}
    for group, count in lacking:
        spent |= build_features(part, group, run_shards or local_shards, _counted(progress, before, count, total))
        before += count
    return [_found(part, spec, spent.pop(pass_key(part, spec), Spent())) for spec in specs]


def _found(part: Pictures, spec: FeatureSpec, spent: Spent) -> FeatureSet:
    return FeatureSet(spec, len(part.pixels), entries_of(part, spec), spent.extracted, spent.seconds, spent.cpu_seconds)


def _counted(progress: Progress | None, before: int, passes: int, total: int) -> Progress | None:
    """A progress over pictures that counts each picture as `passes` of `total`, `before` of which are done."""
    if progress is None:
        return None
    return lambda done, pictures: progress(before * pictures + passes * done, total * pictures)
