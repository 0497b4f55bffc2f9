"""The feature cache: one entry per (images, weights, size, view, stage, statistic); shards of it while it is built.

Entries are looked up by a hash of all that their values follow from, and verified by their digest each time.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cifake_ray.errors import InputError
from cifake_ray.features.shards import Extraction, RunShards, local_shards
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.storage.cache import Entry, cache_root, locked, read_entry, write_entry

KIND = "features"
_FORMAT = 1  # raise it when the values of a feature change
_SHARD_PIXELS = 4_000_000  # input pixels of one shard: about 3 s of one core, which is what a killed run can lose
_SHARD_ROWS = 2000


class Images(Protocol):
    """uint8 [n, 32, 32, 3] and the SHA-256 that says which images they are."""

    @property
    def images(self) -> np.ndarray: ...

    @property
    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class FeatureSet:
    """Cached features of one image set and backbone pass, as paths: cheap to send to other processes.

    `extracted`: images that went through the backbone in this call (0: all came from the cache); `seconds` wall,
    `cpu_seconds` summed over workers.
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
    part: Images,
    spec: FeatureSpec,
    *,
    run_shards: RunShards | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureSet:
    """The features of `part` up to `spec.last_stage`; what the cache lacks, or holds damaged, is extracted in one pass.

    `progress`: images done (those of an interrupted extraction included) and in all. A second process waits for the
    first and extracts nothing. Raises InputError when the cache folder cannot be written.
    """
    began = time.perf_counter()
    entries = _entries(part, spec)
    extracted, cpu_seconds = 0, 0.0
    if _missing(entries, len(part.images)):
        folder = _folder(part, spec)
        with locked(folder):
            missing = _missing(entries, len(part.images))  # another process may have built them meanwhile
            if missing:
                extracted, cpu_seconds = _extract(part, spec, missing, folder, run_shards or local_shards, progress)
                _assemble(part, spec, {name: entries[name] for name in missing}, folder)
    seconds = time.perf_counter() - began
    return FeatureSet(spec, len(part.images), entries, extracted, seconds, cpu_seconds)


def missing_features(part: Images, spec: FeatureSpec) -> list[str]:
    """The `stage.statistic` of the pass that the cache does not hold for these images, or holds damaged."""
    return _missing(_entries(part, spec), len(part.images))


def _entries(part: Images, spec: FeatureSpec) -> dict[str, Path]:
    return {name: _entry_path(part, spec, name) for name in spec.columns}


def shard_bounds(count: int, image_size: int) -> list[tuple[int, int]]:
    """(start, stop) of each shard: 1/16 of the images, but at least 64, and at most 2,000 or 4 million input pixels."""
    rows = min(_SHARD_ROWS, _SHARD_PIXELS // image_size**2, max(64, -(-count // 16)))
    return [(start, min(start + rows, count)) for start in range(0, count, rows)]


def _extract(
    part: Images,
    spec: FeatureSpec,
    missing: Sequence[str],
    folder: Path,
    run_shards: RunShards,
    progress: Callable[[int, int], None] | None,
) -> tuple[int, float]:
    """Extract every shard that is not in `folder` already. Returns the images extracted and their CPU seconds."""
    total = len(part.images)
    bounds = shard_bounds(total, spec.image_size)
    pending = [(start, stop) for start, stop in bounds if not _has_shard(folder, start, stop, missing)]
    left = sum(stop - start for start, stop in pending)
    extracted, cpu_seconds = 0, 0.0
    if progress:
        progress(total - left, total)
    if not pending:
        return 0, 0.0
    extraction = Extraction(spec.build(missing), spec.image_size, spec.view, tuple(missing))
    for result in run_shards(part.images, pending, extraction):
        rows = len(next(iter(result.columns.values())))
        _write(_shard_path(folder, result.start), {name: result.columns[name] for name in missing}, {})
        extracted, cpu_seconds = extracted + rows, cpu_seconds + result.cpu_seconds
        if progress:
            progress(total - left + extracted, total)
    return extracted, cpu_seconds


def _assemble(part: Images, spec: FeatureSpec, entries: dict[str, Path], folder: Path) -> None:
    """Join the shards in `folder` into entries, one statistic at a time, and remove them."""
    bounds = shard_bounds(len(part.images), spec.image_size)
    for name, path in entries.items():
        shards = [np.load(_shard_path(folder, start) / f"{name}.npy", mmap_mode="r") for start, _ in bounds]
        meta = {
            "feature": name, "images": part.fingerprint, "weights": spec.weights.name, "sha256": spec.weights.sha256,
            "image_size": spec.image_size, "view": spec.view,
        }  # fmt: skip
        _write(path, {"values": np.concatenate(shards)}, meta)
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> Entry:
    try:
        return write_entry(path, arrays, meta)
    except OSError as error:
        raise InputError(
            f"cache folder {cache_root()} cannot be written ({error.strerror or error})",
            "free some space, or set CIFAKE_RAY_CACHE to another folder",
        ) from error


def _missing(entries: dict[str, Path], count: int) -> list[str]:
    """The features whose entry is absent, damaged, or of another number of images."""
    found = {name: read_entry(path) for name, path in entries.items()}
    return [name for name, entry in found.items() if entry is None or len(entry.arrays["values"]) != count]


def _has_shard(folder: Path, start: int, stop: int, names: Sequence[str]) -> bool:
    entry = read_entry(_shard_path(folder, start))
    return entry is not None and all(name in entry.arrays and len(entry.arrays[name]) == stop - start for name in names)


def _shard_path(folder: Path, start: int) -> Path:
    return folder / f"{start:08d}"


def _folder(part: Images, spec: FeatureSpec) -> Path:
    """Where the shards of one pass lie, whichever stages it goes up to: so that two of them do not run at once."""
    return cache_root() / KIND / f"{_key(part, spec)}.shards"


def _entry_path(part: Images, spec: FeatureSpec, name: str) -> Path:
    return cache_root() / KIND / f"{_key(part, spec)}-{name}"


def _key(part: Images, spec: FeatureSpec) -> str:
    facts = (str(_FORMAT), part.fingerprint, spec.weights.sha256, str(spec.image_size), spec.view)
    return f"{spec.view}-{spec.image_size}px-{hashlib.sha256('/'.join(facts).encode()).hexdigest()[:32]}"
