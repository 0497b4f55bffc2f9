"""Refuse a source that is no data set: a class missing, too many unreadable pictures, no room on the disk."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cifake_ray.data.decoding.cells import Cell
from cifake_ray.data.decoding.items import Item, Refused, item_bytes
from cifake_ray.data.packing import likely_side
from cifake_ray.data.sources.find import Encoded
from cifake_ray.errors import InputError
from cifake_ray.runs.columns import LABELS
from cifake_ray.storage.cache import check_room

_SHOWN = 3  # unreadable files that a refusal names
MAX_UNREADABLE = 0.01  # share of images that may be left out before the set counts as damaged
Beyond = Callable[[Mapping[str, int], bool], int]  # pictures of each part, whether held decoded -> bytes to be written


def check_classes(source: str, part: str, labels: np.ndarray, what: str) -> None:
    """Raise InputError when a class has no picture in the part; `what`: the pictures, in words."""
    for label, name in enumerate(LABELS):
        if not (labels == label).any():
            raise InputError(
                f"{source}: no {what} labelled {name} in {part}", "a detector needs both FAKE and REAL images"
            )


def check_readable(source: str, skipped: list[dict[str, str]], total: int) -> None:
    """Raise InputError when none of `total` pictures is readable, or more than MAX_UNREADABLE of them are skipped."""
    if len(skipped) == total:
        raise InputError(
            f"{source}: no readable image among {total:,} ({_shown(skipped)})", "mend them or fetch them again"
        )
    if len(skipped) > MAX_UNREADABLE * total:
        raise InputError(
            f"{source}: {len(skipped):,} of {total:,} files cannot be read as images, more than 1 % "
            f"({_shown(skipped)})",
            "mend or remove them",
        )


def check_refused(source: str, encoded: Mapping[str, Encoded]) -> None:
    """Raise InputError, as decoding would, when too many files are refused without being opened."""
    skipped = [
        {"name": place, "reason": item.reason}
        for part, of_part in encoded.items()
        for place, item in zip(places_of(part, of_part.labels, of_part.names), of_part.items, strict=True)
        if isinstance(item, Refused)
    ]
    check_readable(source, skipped, sum(len(of_part.items) for of_part in encoded.values()))


def _shown(skipped: Sequence[Mapping[str, str]]) -> str:
    """The first three skipped pictures with their reasons."""
    more = f"; and {len(skipped) - _SHOWN:,} more" if len(skipped) > _SHOWN else ""
    return "; ".join(f"{one['name']}: {one['reason']}" for one in skipped[:_SHOWN]) + more


def skipped_notes(encoded: Mapping[str, Encoded], skipped: Mapping[int, str]) -> list[dict[str, str]]:
    """The skipped pictures, as {"name", "reason"}."""
    places = [place for part, of_part in encoded.items() for place in places_of(part, of_part.labels, of_part.names)]
    return [{"name": places[position], "reason": reason} for position, reason in skipped.items()]


def places_of(part: str, labels: np.ndarray, names: np.ndarray) -> Iterable[str]:
    """`train/FAKE/0001.jpg` for each image of a part."""
    return (f"{part}/{LABELS[label]}/{name}" for label, name in zip(labels.tolist(), names.tolist(), strict=True))


def check_pictures_fit(encoded: Mapping[str, Encoded], beyond: Beyond | None = None) -> None:
    """Raise InputError when the disk of the cache has no room for these pictures and the bytes of `beyond`."""
    items = [item for part in encoded.values() for item in part.items]
    side = likely_side(items)
    pictures = _encoded_bytes(items) if side is None else len(items) * side * side * 3
    counts = {part: len(of_part.items) for part, of_part in encoded.items()}
    check_room(pictures + (beyond(counts, side is not None) if beyond else 0), "the pictures and what is made of them")


def _encoded_bytes(items: Sequence[Item]) -> int:
    """Bytes of the encoded pictures; of those in tables at most the bytes of the tables' files."""
    tables = {item.file for item in items if isinstance(item, Cell)}
    return sum(map(item_bytes, items)) + sum(Path(file).stat().st_size for file in tables)
