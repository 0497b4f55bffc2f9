"""Labelled images to evaluate a detector on, such as images of another generator or the test part of CIFAKE."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cifake_ray.console import Progress
from cifake_ray.data.build import ENCODED, TABLE, UNSCORED, EntryContents, cached, decode_source, entry_path
from cifake_ray.data.datasets import recorded_card
from cifake_ray.data.datasets.card import Card
from cifake_ray.data.images import Part, Skipped, counts, entry_part, remarks
from cifake_ray.data.labels import ALL, VALIDATION
from cifake_ray.data.sources.find import Encoded, Source, find_source
from cifake_ray.data.sources.left_out import Left, left_from
from cifake_ray.data.sources.reading import PLAIN, Reading
from cifake_ray.data.table import unpacked
from cifake_ray.data.taken import Taken, taken_of
from cifake_ray.experiment import SAMPLES
from cifake_ray.storage.cache import Entry

_SUBSET = "labelled 3"  # name of this subset among the cache entries of a source
_CHOICE = ("test", VALIDATION, ALL, "train")


@dataclass(frozen=True)
class Labelled:
    """One part of FAKE and REAL images."""

    source: str  # as the user gave it
    kind: str  # folder | zip | parquet | sample
    images: Part
    part: str  # test | validation (no test part) | all (not split) | train (no other part)
    skipped: tuple[Skipped, ...]
    converted: dict[str, int]  # what was converted -> how many, such as {"resized from another size (Lanczos)": 3}
    path: Path  # the cache entry
    card: Card
    left: tuple[Left, ...] = ()  # files under the source that are not scored
    said: tuple[str, ...] = ()  # conclusions from the source's layout

    @property
    def taken(self) -> list[Taken]:
        """Counts of pictures of each class, and of each group in the class."""
        return taken_of(self.images.table)

    def summary(self) -> str:
        """One line for people: which part, images of each class, what was resized or left out."""
        chosen = {
            "test": "test part",
            VALIDATION: "validation part",
            ALL: "all images",
            "train": "train part (the only part)",
        }
        return "; ".join([f"{self.source}: {chosen[self.part]}, {counts(self.images.labels)}", *remarks(self)])


def load_labelled(
    source: str, *, progress: Progress | None = None, reading: Reading = PLAIN, native: bool = False
) -> Labelled:
    """The images of `source` to evaluate on, cached: the test part, else a validation part, else all.

    `source`: any source of `load_images`, or a folder or zip file with folders that name a class at any depth
    (`REAL/…`, `FAKE/…`, `car/0_real/…`, `ai/…`), or parquet files of one part. Among small pictures of one size, a few
    of another size are resized (Lanczos, antialiased, the shape not kept); `converted` counts the resized pictures.
    `native`: these keep their size, for a model that sees each picture at its own scale.

    The images may be of one class. Raises InputError: missing source, no image, folder names that contradict each
    other, more than 1 % unreadable.
    """
    found = find_source(source, needed=(), reading=reading.without_test())
    entry = cached(entry_path(found, _SUBSET), lambda: _contents(source, found, progress))
    if native and _has_strays(entry):
        found = find_source(source, needed=(), reading=dataclasses.replace(reading.without_test(), packed=True))
        entry = cached(entry_path(found, _SUBSET), lambda: _contents(source, found, progress))
    notes = entry.meta
    part, *_ = notes["fingerprints"]
    card = recorded_card({"generated": notes["kind"] in SAMPLES, **notes})
    return Labelled(
        source=source,
        kind=notes["kind"],
        images=entry_part(entry, part, card),
        part=part,
        skipped=tuple(Skipped(**skipped) for skipped in notes["skipped"]),
        converted=notes["converted"],
        path=entry.path,
        card=card,
        left=_left(found, left_from(notes.get("left", []))),
        said=tuple(notes.get("said", ())),
    )


def _has_strays(entry: Entry) -> bool:
    """Whether pictures of another size were resized to the side in which the others are held."""
    sides = {array.shape[1] for name, array in entry.arrays.items() if name.endswith("_images")}
    return any(bool((unpacked(entry.arrays[TABLE]).sizes != side).any()) for side in sides)


def _left(found: Source, noted: tuple[Left, ...]) -> tuple[Left, ...]:
    """The files that lie beside the images now, and the parts that are not scored."""
    return noted if found.beside is None else (*found.beside, *(left for left in noted if left.reason == UNSCORED))


def _contents(source: str, found: Source, progress: Progress | None) -> EntryContents:
    arrays, notes = decode_source(source, found, progress, _chosen, one_class=True)
    part = next(part for part in _CHOICE if f"{part}_labels" in arrays)  # the sample has all parts
    kept = {name: array for name, array in arrays.items() if name.startswith((f"{part}_", ENCODED))}
    return {**kept, TABLE: arrays[TABLE]}, notes


def _chosen(parts: Mapping[str, Encoded]) -> dict[str, Encoded]:
    part = next(part for part in _CHOICE if part in parts)
    return {part: parts[part]}
