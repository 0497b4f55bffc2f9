"""The image set: decoded once, cached as arrays, memory-mapped, in canonical order (part, label, name)."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cifake_ray.console import Progress, printable
from cifake_ray.data.build import (
    ENCODED,
    KIND,
    TABLE,
    Arrays,
    Check,
    EntryContents,
    cached,
    current_entry,
    decode_source,
    entry_path,
    for_study,
    known_entry,
    set_fingerprint,
    table_of_arrays,
)
from cifake_ray.data.datasets import generic, recorded_card
from cifake_ray.data.datasets.card import Card
from cifake_ray.data.decoding.items import UnreadableError, read_item
from cifake_ray.data.labels import PARTS
from cifake_ray.data.pixels import ArrayPixels, EncodedPixels, Pixels
from cifake_ray.data.refusals import Beyond
from cifake_ray.data.sources.find import Source, find_source
from cifake_ray.data.sources.left_out import Left, left_from
from cifake_ray.data.sources.reading import PLAIN, Reading
from cifake_ray.data.stratify import choose_stratified
from cifake_ray.data.table import TRAIN_PARTS, ImageTable, fingerprint_v2, joined, unpacked
from cifake_ray.data.taken import Taken, taken_lines, taken_of
from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError
from cifake_ray.experiment import SAMPLES
from cifake_ray.runs.columns import LABELS
from cifake_ray.storage.cache import Entry, Staged, add_array, cache_root, read_entry, writing

SMALLEST = 20  # the smallest `data.limit`


@dataclass(frozen=True)
class Skipped:
    """A skipped image: `train/FAKE/0001.jpg`, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Part:
    """The train or the test part, in order of label and name: the image table, and the pixels by row."""

    table: ImageTable
    pixels: Pixels
    fingerprint: str  # SHA-256 (hex) of pixels and labels
    card: Card = generic.CARD

    @property
    def images(self) -> np.ndarray:
        """All pictures: uint8 [n, h, w, 3], 0..255; memory-mapped where held decoded, else decoded at the call."""
        return self.pixels.batch(slice(None))

    @property
    def side(self) -> int | None:
        """Pixels a side of pictures that are held in one small size; None for pictures of any size."""
        return self.pixels.side

    def under(self, transform: Transform) -> "Part":
        """The pictures as squares under a transform of `model_transform`; nothing is decoded yet."""
        return dataclasses.replace(self, pixels=self.pixels.under(transform))

    @property
    def labels(self) -> np.ndarray:
        """uint8 [n]; 0 FAKE, 1 REAL."""
        return self.table.labels

    def take(self, rows: np.ndarray) -> "Part":
        """A copy of the pictures at these positions, int64 [m]; the fingerprint is extended by a digest of these."""
        chosen = hashlib.sha256(np.asarray(rows, np.int64).tobytes()).hexdigest()[:32]
        return Part(self.table.take(rows), self.pixels.take(rows), f"{self.fingerprint}-{chosen}", self.card)

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True)
class ImageSet:
    """Train and test images of one source. The fingerprint covers pixels and labels of both parts, and nothing else.

    The source's own validation part, if there is one, stands behind the train images, in `train`; the table's column
    `part` separates the two.
    """

    source: str  # as the user gave it
    kind: str  # folder | zip | parquet | sample
    train: Part
    test: Part
    fingerprint: str
    skipped: tuple[Skipped, ...]
    converted: dict[str, int]  # what was converted -> how many, such as {"grey": 3}
    path: Path  # the cache entry: another process opens it with `open_images`
    card: Card  # of the data set that these images are, or are a subset of
    left: tuple[Left, ...] = ()  # files under the source that are not used
    said: tuple[str, ...] = ()  # conclusions from the source's layout
    test_drawn: dict[str, Any] | None = None  # {fraction, seed} of a test part that the source lacks
    neutral: str = ""  # name of the encoding that the pictures were brought to
    fingerprint_v2: str = ""  # SHA-256 (hex) over part, label and native pixel digest of each picture

    @property
    def side(self) -> int | None:
        """Pixels a side of pictures that are held in one small size; None for pictures of any size."""
        return self.train.side

    @property
    def fingerprints(self) -> frozenset[str]:
        """Both fingerprints; a run identifies its images by either."""
        return frozenset({self.fingerprint, self.fingerprint_v2})

    @property
    def taken(self) -> list[Taken]:
        """Counts of pictures of each part and class, and of each group in the class."""
        return [*taken_of(self.train.table), *taken_of(self.test.table)]

    def summary(self) -> str:
        """One line for people: images of each part and class; and the note of the data set."""
        given = self.train.table.given_validation
        parts = {"train": self.train.labels[~given], "validation": self.train.labels[given], "test": self.test.labels}
        told = ", ".join(f"{part} {counts(labels)}" for part, labels in parts.items() if len(labels))
        return "; ".join([f"{self.source}: {told}", *remarks(self)])


class _Loaded(Protocol):
    @property
    def skipped(self) -> tuple[Skipped, ...]: ...
    @property
    def converted(self) -> dict[str, int]: ...
    @property
    def card(self) -> Card: ...
    @property
    def left(self) -> tuple[Left, ...]: ...
    @property
    def said(self) -> tuple[str, ...]: ...
    @property
    def taken(self) -> list[Taken]: ...


def remarks(loaded: _Loaded) -> list[str]:
    """Remarks on loaded images, for people: groups, conversions, skipped images, the note of the data set."""
    converted = ", ".join(f"{count:,} {what}" for what, count in loaded.converted.items())
    notes = [*loaded.said, *taken_lines(loaded.taken), *([f"converted: {converted}"] if converted else [])]
    if loaded.skipped:
        first = loaded.skipped[0]
        more = ", …" if len(loaded.skipped) > 1 else ""
        notes += [f"{len(loaded.skipped):,} unreadable left out ({printable(first.name)}: {first.reason}{more})"]
    notes += [f"not used: {left}" for left in loaded.left]
    return notes + ([loaded.card.note] if loaded.card.note else [])


def counts(labels: np.ndarray) -> str:
    """`10,000 FAKE + 10,000 REAL`."""
    return " + ".join(f"{np.count_nonzero(labels == label):,} {name}" for label, name in enumerate(LABELS))


def load_images(
    source: str,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    reading: Reading = PLAIN,
    beyond: Beyond | None = None,
    check: Check | None = None,
) -> ImageSet:
    """The images of `source`, from the cache or decoded on all cores into the cache; a second process waits.

    `limit`: number of train images of a subset, stratified by label and groups, with a quarter as many test images (at
    least 20); the whole set when the set has no more. `progress(done, total)` is called while decoding.
    `reading`: class words, parts and a test part to be drawn, as in the `data` section of an experiment.
    `beyond`: bytes to be written besides the pictures, for which the disk must have room too. `check`: called with the
    parts of the source before pictures are decoded, and raises to refuse the source.

    Raises InputError: missing source, a part or class missing, no readable image, more than 1 % unreadable.
    """
    if limit is not None and limit < SMALLEST:
        raise InputError(f"data.limit: {limit} is too few images", f"give {SMALLEST} or more, or null for all")
    found = find_source(source, reading=reading)
    if limit is not None and (known := current_entry(entry_path(found, limit), reading.held)) is not None:
        return _of_source(known, source, found)

    def decoded() -> EntryContents:
        return for_study(decode_source(source, found, progress, beyond=beyond, check=check), reading)

    entry = known_entry(found) or cached(entry_path(found, None), decoded, reading.held)
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
        raise InputError(f"{path}: no decoded images in the cache any more", "start the command again to decode them")
    return _image_set(entry)


def _image_set(entry: Entry) -> ImageSet:
    prints, notes = entry.meta["fingerprints"], entry.meta
    fingerprint = set_fingerprint(prints)
    card = recorded_card({"generated": notes["kind"] in SAMPLES, "fingerprint": fingerprint, **notes})
    entry = with_table(entry, card)
    train, test = (entry_part(entry, part, card) for part in PARTS)
    return ImageSet(
        source=notes["source"],
        kind=notes["kind"],
        train=train,
        test=test,
        fingerprint=fingerprint,
        skipped=tuple(Skipped(**skipped) for skipped in notes["skipped"]),
        converted=notes["converted"],
        path=entry.path,
        card=card,
        left=left_from(notes.get("left", [])),
        said=tuple(notes.get("said", ())),
        test_drawn=notes.get("test_drawn"),
        neutral=notes.get("neutral", ""),
        fingerprint_v2=notes.get("fingerprint_v2") or fingerprint_v2(unpacked(entry.arrays[TABLE])),
    )


def entry_part(entry: Entry, part: str, card: Card) -> Part:
    """One part of a cache entry that has a table."""
    pixels: Pixels
    if f"{part}_images" in entry.arrays:
        pixels = ArrayPixels(entry.arrays[f"{part}_images"])
    else:
        pixels = EncodedPixels(entry.path / f"{ENCODED}.npy", entry.arrays[f"{part}_places"])
    parts = TRAIN_PARTS if part == "train" else (part,)
    return Part(unpacked(entry.arrays[TABLE]).of_part(*parts), pixels, entry.meta["fingerprints"][part], card)


def with_table(entry: Entry, card: Card) -> Entry:
    """The entry with a table; the table of an entry of version 0.1, which has names instead, is added once."""
    if TABLE in entry.arrays:
        return entry
    return add_array(entry, TABLE, table_of_arrays(entry.arrays).with_groups(card).packed())


def _of_source(entry: Entry, source: str, found: Source) -> ImageSet:
    """The decoded set, with the files that lie beside the images now."""
    images = _image_set(entry)
    return dataclasses.replace(images, source=source, left=images.left if found.beside is None else found.beside)


def _limited(images: ImageSet, limit: int) -> EntryContents:
    arrays: Arrays = {}
    tables = []
    parts: dict[str, Part] = {}
    for name, part, count in (("train", images.train, limit), ("test", images.test, max(limit // 4, SMALLEST))):
        strata = {"part": part.table.given_validation.astype(np.int64), **part.table.groups}
        chosen = part.take(choose_stratified(part.labels, strata, count))
        arrays[f"{name}_labels"] = chosen.labels
        parts[name] = chosen
        tables.append(chosen.table)
    arrays |= _pixels_of(parts)
    skipped = [dataclasses.asdict(skipped) for skipped in images.skipped]
    notes: dict[str, Any] = {"source": images.source, "kind": images.kind, "skipped": skipped}
    notes |= {"converted": images.converted, "side": images.side}
    notes |= {"card": images.card.name, "left": [one.as_note() for one in images.left], "said": list(images.said)}
    if images.neutral:
        notes["neutral"] = images.neutral
    if images.test_drawn is not None:
        notes["test_drawn"] = images.test_drawn
    return {**arrays, TABLE: joined(tables).packed()}, notes


def _pixels_of(parts: Mapping[str, Part]) -> Arrays:
    """The arrays of a cache entry that hold the pictures of these parts, copied."""
    packed = {name: part.pixels for name, part in parts.items() if isinstance(part.pixels, EncodedPixels)}
    if not packed:
        return {f"{name}_images": part.images for name, part in parts.items()}
    arrays: Arrays = {}
    with writing(), Staged.bytes_in(cache_root() / KIND) as staged, staged.path.open("ab") as file:
        for name, pixels in packed.items():
            starts = file.tell() + np.cumsum(pixels.places[:, 1]) - pixels.places[:, 1]
            arrays[f"{name}_places"] = np.stack([starts, pixels.places[:, 1]], axis=1)
            for item in pixels.items(slice(None)):
                try:
                    file.write(read_item(item))
                except UnreadableError as error:
                    raise InputError(f"{pixels.file}: {error}", "`cifake-ray cache clear`, then start again") from error
    return {**arrays, ENCODED: staged}
