"""Extract missing features of one pass or several: shard by shard, each shard stored, then joined into entries."""

import shutil
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifake_ray.data.pixels import EncodedPixels, Pixels
from cifake_ray.features.places import Pictures, entries_of, pass_key, shard_path, shards_folder, transform_of
from cifake_ray.features.shards import Extraction, Pass, RunShards
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.storage.cache import Entry, locked, read_entry, write_entry, writing

_SHARD_PIXELS = 4_000_000  # input pixels of one shard: about 3 s of one core, which is what a killed run can lose
_SHARD_ROWS = 2000
_LEAST_ROWS = 8  # of a shard of packed pictures, whatever the number of passes: a GPU would idle on fewer
_SHARD_BYTES = 32_000_000  # encoded, of one shard: about 1 s of decoding, and the size of a task's message


@dataclass(frozen=True)
class Spent:
    """Cost of one pass: images that went through the backbone, wall seconds, CPU seconds."""

    extracted: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class _Work:
    """Passes that are extracted together, in shards between `bounds`; `missing`: columns by the number of a pass."""

    part: Pictures
    specs: Sequence[FeatureSpec]
    bounds: Sequence[tuple[int, int]]
    missing: Mapping[int, list[str]]

    @property
    def folders(self) -> dict[int, Path]:
        """The folder of shards of each pass that lacks columns."""
        return {number: shards_folder(self.part, self.specs[number]) for number in self.missing}


def build_features(
    part: Pictures, specs: Sequence[FeatureSpec], run_shards: RunShards, progress: Callable[[int, int], None] | None
) -> dict[str, Spent]:
    """Extract the missing columns of these passes, each picture through all passes; return the costs by key.

    `progress`: pictures done and in all. A second process waits for the first and extracts nothing.
    """
    began = time.perf_counter()
    with ExitStack() as locks:
        for folder in sorted(shards_folder(part, spec) for spec in specs):  # sorted: two processes cannot block
            locks.enter_context(locked(folder))
        # under the locks once more: another process may have built some
        found = {number: missing_features(part, spec) for number, spec in enumerate(specs)}
        work = _Work(part, specs, _bounds(part.pixels, specs), {at: names for at, names in found.items() if names})
        extracted, cpu_seconds = _extract(work, run_shards, progress) if work.missing else (0, 0.0)
        _assemble(work)
    seconds = (time.perf_counter() - began) / len(specs)
    return {
        pass_key(part, spec): Spent(extracted, seconds, cpu_seconds / len(work.missing))
        if number in work.missing
        else Spent(0, seconds)
        for number, spec in enumerate(specs)
    }


def missing_features(part: Pictures, spec: FeatureSpec) -> list[str]:
    """The `stage.statistic` of the pass that the cache does not hold for these images, or holds damaged."""
    found = {name: read_entry(path) for name, path in entries_of(part, spec).items()}
    count = len(part.pixels)
    return [name for name, entry in found.items() if entry is None or len(entry.arrays["values"]) != count]


def shard_bounds(count: int, pixels: int, encoded: int | None = None) -> list[tuple[int, int]]:
    """(start, stop) of each shard: 1/16 of the images, but at least 64, and at most 2,000 or 4 million input pixels.

    pixels: of one image, over all passes. encoded: mean bytes of a packed picture, of which a shard has 32 MB at most.
    """
    rows = min(_SHARD_ROWS, _SHARD_PIXELS // pixels, max(64, -(-count // 16)))
    if encoded is not None:
        rows = min(max(rows, _LEAST_ROWS), max(_SHARD_BYTES // max(encoded, 1), 1))
    return [(start, min(start + rows, count)) for start in range(0, count, rows)]


def _bounds(pixels: Pixels, specs: Sequence[FeatureSpec]) -> list[tuple[int, int]]:
    """Bounds by all passes of a study, missing or not, so that an interrupted extraction finds its shards again."""
    encoded = int(pixels.places[:, 1].mean()) if isinstance(pixels, EncodedPixels) and len(pixels) else None
    return shard_bounds(len(pixels), sum(spec.image_size**2 for spec in specs), encoded)


def _extract(work: _Work, run_shards: RunShards, progress: Callable[[int, int], None] | None) -> tuple[int, float]:
    """Extract every shard that some pass lacks. Returns the images extracted and their CPU seconds."""
    total = len(work.part.pixels)
    pending = [(start, stop) for start, stop in work.bounds if not _has_shard(work, start, stop)]
    left = sum(stop - start for start, stop in pending)
    extracted, cpu_seconds = 0, 0.0
    if progress:
        progress(total - left, total)
    if not pending:
        return 0, 0.0
    for result in run_shards(work.part.pixels, pending, _extraction(work)):
        for folder, columns in zip(work.folders.values(), result.passes, strict=True):
            _write(shard_path(folder, result.start), columns, {})
        rows = len(next(iter(result.passes[0].values())))
        extracted, cpu_seconds = extracted + rows, cpu_seconds + result.cpu_seconds
        if progress:
            progress(total - left + extracted, total)
    return extracted, cpu_seconds


def _extraction(work: _Work) -> Extraction:
    """The extraction of the missing columns; each network is built once, as deep as any pass needs."""
    needed: dict[Hashable, list[str]] = {}
    for number, names in work.missing.items():
        needed.setdefault(work.specs[number].network, []).extend(names)
    of = {spec.network: spec for spec in work.specs}
    backbones = {network: of[network].build(names) for network, names in needed.items()}
    return Extraction(
        tuple(
            Pass(spec, backbones[spec.network], tuple(names), transform_of(spec, work.part.pixels))
            for spec, names in ((work.specs[number], names) for number, names in work.missing.items())
        )
    )


def _assemble(work: _Work) -> None:
    """Join the shards into entries, one statistic at a time; remove the shards once every entry exists."""
    for number, names in work.missing.items():
        spec, folder = work.specs[number], work.folders[number]
        entries = entries_of(work.part, spec)
        for name in names:
            shards = [np.load(shard_path(folder, start) / f"{name}.npy", mmap_mode="r") for start, _ in work.bounds]
            _write(entries[name], {"values": np.concatenate(shards)}, _notes(work.part, spec, name))
    for spec in work.specs:
        shutil.rmtree(shards_folder(work.part, spec), ignore_errors=True)


def _notes(part: Pictures, spec: FeatureSpec, name: str) -> dict[str, Any]:
    transform = transform_of(spec, part.pixels)
    return {
        "feature": name, "images": part.fingerprint, "weights": spec.weights.name, "sha256": spec.weights.sha256,
        "image_size": spec.image_size, "view": spec.view, **({"transform": transform.name} if transform else {}),
    }  # fmt: skip


def _write(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Entry:
    with writing():
        return write_entry(path, arrays, meta)


def _has_shard(work: _Work, start: int, stop: int) -> bool:
    """Whether every pass has this shard undamaged."""
    for folder, names in zip(work.folders.values(), work.missing.values(), strict=True):
        entry = read_entry(shard_path(folder, start))
        if entry is None or any(len(entry.arrays.get(name, ())) != stop - start for name in names):
            return False
    return True
