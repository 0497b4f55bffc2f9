"""The image set: decoded once, cached as arrays, memory-mapped, in canonical order (part, label, name)."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifake_ray.cache import Entry, array_digest, cache_root, locked, read_entry, write_entry
from cifake_ray.data import sample
from cifake_ray.data.sources import LABELS, PARTS, SAMPLE, Encoded, Source, find_source
from cifake_ray.data.strata import choose_stratified
from cifake_ray.data.workers import Progress, decode_all
from cifake_ray.errors import InputError

KIND = "images"  # the cache's folder of decoded sets
SMALLEST = 20  # images a limit may ask for
MAX_UNREADABLE = 0.01  # share of images that may be left out before the set counts as damaged
_FORMAT = 1  # of the cache entry and of decoding: raise it when either changes
_GENERATED = "generated pictures, no measure of CIFAKE"


@dataclass(frozen=True)
class Skipped:
    """An image that was left out: `train/FAKE/0001.jpg`, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Part:
    """The train or the test part, in order of label and name; the arrays are memory-mapped."""

    images: np.ndarray  # uint8 [n, 32, 32, 3], 0..255
    labels: np.ndarray  # uint8 [n]; 0 FAKE, 1 REAL
    names: np.ndarray  # unicode [n], unique only within one label
    fingerprint: str  # SHA-256 (hex) of pixels and labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageSet:
    """Train and test images of one source. The fingerprint covers pixels and labels of both parts, and nothing else."""

    source: str  # as the user gave it
    kind: str  # folder | parquet | sample
    train: Part
    test: Part
    fingerprint: str
    skipped: tuple[Skipped, ...]
    converted: dict[str, int]  # what was converted -> how many, such as {"grey": 3}
    path: Path  # the cache entry: another process opens it with `open_images`
    generated: bool

    def summary(self) -> str:
        """One line for people: images of each part and class; that generated pictures are no measure of CIFAKE."""
        parts = [f"{name} {_counts(getattr(self, name).labels)}" for name in PARTS]
        notes = [f"{count} converted ({what})" for what, count in self.converted.items()]
        notes += [f"{len(self.skipped)} unreadable left out"] if self.skipped else []
        notes += [_GENERATED] if self.generated else []
        return "; ".join([f"{self.source}: {', '.join(parts)}", *notes])


def _counts(labels: np.ndarray) -> str:
    return " + ".join(f"{np.count_nonzero(labels == label):,} {name}" for label, name in enumerate(LABELS))


def load_images(source: str, *, limit: int | None = None, progress: Progress | None = None) -> ImageSet:
    """The images of `source`: from the cache, or decoded over all cores into it. Two processes at once decode once.

    `limit`: a set of its own with a subset of so many train images, stratified by label and subject, and of a quarter
    as many test images (at least 20); the whole set when it has no more. `progress(done, total)` while decoding.

    Raises InputError: missing source, a part or class missing, no readable image, more than 1 % unreadable.
    """
    if limit is not None and limit < SMALLEST:
        raise InputError(f"data.limit: {limit} is too few images; give {SMALLEST} or more, or null for all")
    found = find_source(source)
    images = _cached(_entry_path(found, None), source, lambda: _decode(source, found, progress))
    if limit is None or limit >= len(images.train):
        return images
    return _cached(_entry_path(found, limit), source, lambda: _limited(images, limit))


def open_images(path: Path) -> ImageSet:
    """The image set in the cache entry at `path` (`ImageSet.path`), memory-mapped, unverified: for worker processes.

    Raises InputError when the entry is gone.
    """
    entry = read_entry(path, verify=False)
    if entry is None:
        raise InputError(f"{path}: no decoded images in the cache any more; start the command again to decode them")
    return _image_set(entry)


def _entry_path(found: Source, limit: int | None) -> Path:
    key = hashlib.sha256(f"{_FORMAT} {found.kind} {found.identity} {limit}".encode()).hexdigest()[:32]
    return cache_root() / KIND / key


Contents = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays and notes of a cache entry


def _cached(path: Path, source: str, build: Callable[[], Contents]) -> ImageSet:
    """The entry at `path`, verified; built under its lock when it is missing or damaged."""
    entry = read_entry(path)
    if entry is None:
        with locked(path):
            entry = read_entry(path) or _write(path, *build())
    return dataclasses.replace(_image_set(entry), source=source)


def _write(path: Path, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> Entry:
    prints = {part: array_digest(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in PARTS}
    try:
        return write_entry(path, arrays, {**notes, "fingerprints": prints})
    except OSError as error:
        raise InputError(
            f"cache folder {cache_root()} cannot be written ({error.strerror or error}); free some space or set "
            "CIFAKE_RAY_CACHE to another"
        ) from error


def _image_set(entry: Entry) -> ImageSet:
    prints, arrays, notes = entry.meta["fingerprints"], entry.arrays, entry.meta
    parts = {
        part: Part(arrays[f"{part}_images"], arrays[f"{part}_labels"], arrays[f"{part}_names"], prints[part])
        for part in PARTS
    }
    return ImageSet(
        source=notes["source"],
        kind=notes["kind"],
        train=parts["train"],
        test=parts["test"],
        fingerprint=hashlib.sha256("".join(prints[part] for part in PARTS).encode()).hexdigest(),
        skipped=tuple(Skipped(**skipped) for skipped in notes["skipped"]),
        converted=notes["converted"],
        path=entry.path,
        generated=notes["kind"] == SAMPLE,
    )


# --- building ----------------------------------------------------------------------------------------------------


def _decode(source: str, found: Source, progress: Progress | None) -> Contents:
    """Arrays of both parts without the unreadable images, and the notes on them. Raises InputError for a bad set."""
    if found.kind == SAMPLE:
        return sample.build_sample(progress), {"source": source, "kind": SAMPLE, "skipped": [], "converted": {}}
    encoded = found.read()
    for part in PARTS:
        _check_classes(source, part, encoded[part].labels, "image")
    decoded = decode_all([item for part in PARTS for item in encoded[part].items], progress)
    place = [f"{part}/{where}" for part in PARTS for where in _places(encoded[part])]
    skipped = [{"name": place[position], "reason": reason} for position, reason in decoded.skipped.items()]
    _check_readable(source, skipped, len(place))
    readable = np.ones(len(place), dtype=bool)
    readable[list(decoded.skipped)] = False
    arrays = _joined_arrays(encoded, decoded.images, readable)
    for part in PARTS:
        _check_classes(source, part, arrays[f"{part}_labels"], "readable image")
    return arrays, {"source": source, "kind": found.kind, "skipped": skipped, "converted": decoded.converted}


def _places(part: Encoded) -> Iterable[str]:
    return (f"{LABELS[label]}/{name}" for label, name in zip(part.labels.tolist(), part.names.tolist(), strict=True))


def _check_classes(source: str, part: str, labels: np.ndarray, what: str) -> None:
    for label, name in enumerate(LABELS):
        if not (labels == label).any():
            raise InputError(
                f"{source}: no {what} labelled {name} in {part}; a detector needs both FAKE and REAL images"
            )


def _check_readable(source: str, skipped: list[dict[str, str]], total: int) -> None:
    if len(skipped) == total:
        raise InputError(f"{source}: no readable image among {total:,} (first: {_shown(skipped[0])}); fetch them again")
    if len(skipped) > MAX_UNREADABLE * total:
        raise InputError(
            f"{source}: {len(skipped):,} of {total:,} images cannot be read, more than 1 % "
            f"(first: {_shown(skipped[0])}); mend or remove them"
        )


def _shown(skipped: Mapping[str, str]) -> str:
    return f"{skipped['name']}, {skipped['reason']}"


def _joined_arrays(encoded: Mapping[str, Encoded], images: np.ndarray, readable: np.ndarray) -> dict[str, np.ndarray]:
    """Each part's images, labels and names without the unreadable ones; no copy of the images when all are readable."""
    arrays: dict[str, np.ndarray] = {}
    start = 0
    for part in PARTS:
        stop = start + len(encoded[part].labels)
        keep = slice(None) if readable[start:stop].all() else readable[start:stop]
        arrays[f"{part}_images"] = images[start:stop][keep]
        arrays[f"{part}_labels"] = encoded[part].labels[keep]
        arrays[f"{part}_names"] = encoded[part].names[keep]
        start = stop
    return arrays


def _limited(images: ImageSet, limit: int) -> Contents:
    arrays: dict[str, np.ndarray] = {}
    for name, part, count in (("train", images.train, limit), ("test", images.test, max(limit // 4, SMALLEST))):
        chosen = choose_stratified(part.labels, part.names, count)
        arrays[f"{name}_images"] = part.images[chosen]
        arrays[f"{name}_labels"] = part.labels[chosen]
        arrays[f"{name}_names"] = part.names[chosen]
    skipped = [dataclasses.asdict(skipped) for skipped in images.skipped]
    return arrays, {"source": images.source, "kind": images.kind, "skipped": skipped, "converted": images.converted}
