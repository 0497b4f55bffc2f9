"""The image set: decoded once, cached as arrays, memory-mapped, in canonical order (part, label, name)."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cifake_ray.console import printable
from cifake_ray.data.build import EntryContents, cached, decode_source, entry_path, set_fingerprint
from cifake_ray.data.datasets.cifake import FINGERPRINTS
from cifake_ray.data.decoding.workers import Progress
from cifake_ray.data.labels import LABELS, PARTS
from cifake_ray.data.sources.find import SAMPLE, Source, find_source
from cifake_ray.data.sources.left_out import Left, left_from
from cifake_ray.data.stratify import choose_stratified
from cifake_ray.errors import InputError
from cifake_ray.storage.cache import Entry, read_entry

SMALLEST = 20  # images a limit may ask for
_GENERATED = "synthetic sample; results say nothing about CIFAKE"


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
    sizes: np.ndarray | None = None  # int32 [n, 2], width and height in pixels as delivered; None where not stored

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageSet:
    """Train and test images of one source. The fingerprint covers pixels and labels of both parts, and nothing else."""

    source: str  # as the user gave it
    kind: str  # folder | zip | parquet | sample
    train: Part
    test: Part
    fingerprint: str
    skipped: tuple[Skipped, ...]
    converted: dict[str, int]  # what was converted -> how many, such as {"grey": 3}
    path: Path  # the cache entry: another process opens it with `open_images`
    generated: bool
    cifake: bool  # CIFAKE or a subset of it, told by content and never by names
    left: tuple[Left, ...] = ()  # what lies under the source and is not used

    def summary(self) -> str:
        """One line for people: images of each part and class; that results on the sample say nothing about CIFAKE."""
        parts = [f"{name} {counts(getattr(self, name).labels)}" for name in PARTS]
        return "; ".join([f"{self.source}: {', '.join(parts)}", *remarks(self)])


class _Loaded(Protocol):
    @property
    def skipped(self) -> tuple[Skipped, ...]: ...
    @property
    def converted(self) -> dict[str, int]: ...
    @property
    def generated(self) -> bool: ...
    @property
    def left(self) -> tuple[Left, ...]: ...


def remarks(loaded: _Loaded) -> list[str]:
    """What a person should know of loaded images: conversions, images left out, that they are generated."""
    converted = ", ".join(f"{count:,} {what}" for what, count in loaded.converted.items())
    notes = [f"converted: {converted}"] if converted else []
    if loaded.skipped:
        first = loaded.skipped[0]
        more = ", …" if len(loaded.skipped) > 1 else ""
        notes += [f"{len(loaded.skipped):,} unreadable left out ({printable(first.name)}: {first.reason}{more})"]
    notes += [f"not used: {left}" for left in loaded.left]
    return notes + ([_GENERATED] if loaded.generated else [])


def counts(labels: np.ndarray) -> str:
    """`10,000 FAKE + 10,000 REAL`."""
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
    if limit is not None and (known := read_entry(entry_path(found, limit))) is not None:
        return dataclasses.replace(_of_source(known, source, found), cifake=_of_cifake(known, found))
    entry = cached(entry_path(found, None), lambda: decode_source(source, found, progress))
    images = _of_source(entry, source, found)
    if limit is None or limit >= len(images.train):
        return images
    entry = cached(entry_path(found, limit), lambda: _limited(images, limit))
    return _of_source(entry, source, found)


def open_images(path: Path) -> ImageSet:
    """The image set in the cache entry at `path` (`ImageSet.path`), memory-mapped, unverified: for worker processes.

    Raises InputError when the entry is gone.
    """
    entry = read_entry(path, verify=False)
    if entry is None:
        raise InputError(f"{path}: no decoded images in the cache any more; start the command again to decode them")
    return _image_set(entry)


def part_of_entry(entry: Entry, part: str) -> Part:
    """The part of this name in a cache entry; without sizes if all were 32x32, or in an entry of version 0.1."""
    arrays, kinds = entry.arrays, ("images", "labels", "names")
    pixels, labels, names = (arrays[f"{part}_{kind}"] for kind in kinds)
    return Part(pixels, labels, names, entry.meta["fingerprints"][part], arrays.get(f"{part}_sizes"))


def _image_set(entry: Entry) -> ImageSet:
    prints, notes = entry.meta["fingerprints"], entry.meta
    parts = {part: part_of_entry(entry, part) for part in PARTS}
    return ImageSet(
        source=notes["source"],
        kind=notes["kind"],
        train=parts["train"],
        test=parts["test"],
        fingerprint=set_fingerprint(prints),
        skipped=tuple(Skipped(**skipped) for skipped in notes["skipped"]),
        converted=notes["converted"],
        path=entry.path,
        generated=notes["kind"] == SAMPLE,
        cifake=bool(notes.get("is_cifake", set_fingerprint(prints) in FINGERPRINTS)),
        left=left_from(notes.get("left", [])),
    )


def _of_source(entry: Entry, source: str, found: Source) -> ImageSet:
    """The set as it was decoded, and what lies beside it today."""
    images = _image_set(entry)
    return dataclasses.replace(images, source=source, left=images.left if found.beside is None else found.beside)


def _of_cifake(limited: Entry, found: Source) -> bool:
    """Whether a subset is one of CIFAKE; of those that version 0.1 cached, if the whole set is in the cache too."""
    if "is_cifake" in limited.meta:
        return bool(limited.meta["is_cifake"])
    whole = read_entry(entry_path(found, None), verify=False)
    return whole is not None and _image_set(whole).cifake


def _limited(images: ImageSet, limit: int) -> EntryContents:
    arrays: dict[str, np.ndarray] = {}
    for name, part, count in (("train", images.train, limit), ("test", images.test, max(limit // 4, SMALLEST))):
        chosen = choose_stratified(part.labels, part.names, count)
        arrays[f"{name}_images"] = part.images[chosen]
        arrays[f"{name}_labels"] = part.labels[chosen]
        arrays[f"{name}_names"] = part.names[chosen]
        if part.sizes is not None:
            arrays[f"{name}_sizes"] = part.sizes[chosen]
    skipped = [dataclasses.asdict(skipped) for skipped in images.skipped]
    notes = {"source": images.source, "kind": images.kind, "skipped": skipped, "converted": images.converted}
    return arrays, notes | {"is_cifake": images.cifake, "left": [one.as_note() for one in images.left]}
