"""Pack pictures of any size: encoded files one after another, each decoded once for the facts of the image table."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifake_ray.console import Progress
from cifake_ray.data.decoding.cells import Cell
from cifake_ray.data.decoding.decode import picture_size_of
from cifake_ray.data.decoding.items import Item, UnreadableError, read_item
from cifake_ray.data.decoding.workers import Findings, pack_all
from cifake_ray.data.neutral import NeutralEncoding
from cifake_ray.storage.cache import Staged, writing

MOST_SIDE = 64  # pixels a side of pictures that are held decoded as they are: four times CIFAKE's in memory
_LOOKED_AT = 200  # pictures whose headers choose between decoded squares and packed files
_GROUPS = 10  # row groups of tables that these pictures come from: one picture costs the reading of a whole group
_SAME = 0.9  # share of pictures of one size from which the others count as strays, to be resized


@dataclass(frozen=True)
class Packed:
    """`places`: int64 [n, 2], position and bytes of each picture in the staged file; (0, 0) of a skipped picture."""

    staged: Staged
    places: np.ndarray
    findings: Findings


def common_side(sizes: Sequence[tuple[int, int]] | np.ndarray) -> int | None:
    """The side of nearly all pictures, if these are small squares; None for many sizes or larger pictures.

    sizes: (width, height) in pixels as delivered; (0, 0) of pictures that cannot be read does not count.
    """
    found = np.asarray(sizes, np.int64).reshape(-1, 2)
    found = found[found[:, 0] > 0]
    if not len(found):
        return None
    square = found[(found[:, 0] == found[:, 1]) & (found[:, 0] <= MOST_SIDE), 0]
    counts = np.bincount(square, minlength=1)
    side = int(counts.argmax())
    return side if counts[side] >= _SAME * len(found) else None


def likely_side(items: Sequence[Item]) -> int | None:
    """`common_side` by the headers of evenly drawn pictures; in tables, of pictures of a few row groups."""
    cells = [item for item in items if isinstance(item, Cell)]
    groups = sorted({cell[:3] for cell in cells})
    looked_at = set(groups[:: -(-len(groups) // _GROUPS)]) if groups else set()
    known = sorted(cell for cell in cells if cell[:3] in looked_at) or items
    step = max(len(known) // _LOOKED_AT, 1)
    return common_side([size for item in known[::step] if (size := _size_of(item)) is not None])


def _size_of(item: Item) -> tuple[int, int] | None:
    try:
        return picture_size_of(read_item(item))
    except UnreadableError:
        return None


def pack(
    items: Sequence[Item], folder: Path, progress: Progress | None, neutral: NeutralEncoding | None = None
) -> Packed:
    """Decode each picture once, and write the encoded pictures into a file in `folder` in order of completion.

    `neutral`: encoding applied to each picture first. Raises InputError when the disk is full.
    """
    findings, places = Findings(len(items)), np.zeros((len(items), 2), np.int64)
    with writing(), Staged.bytes_in(folder) as staged, staged.path.open("r+b", buffering=1 << 20) as file:
        file.seek(0, os.SEEK_END)
        for rows, batch in pack_all(items, progress, neutral):
            findings.add(rows, batch)
            lengths = np.array(batch.lengths, np.int64)
            ends = file.tell() + np.cumsum(lengths)
            places[rows] = np.stack([ends - lengths, lengths], axis=1)
            file.write(batch.pixels)
    return Packed(staged, places, findings)
