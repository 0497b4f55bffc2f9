"""Decode pictures in batches: the work of decoding processes."""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cifake_ray.data.decoding.decode import NOTHING, Picture, decode_image, neutralised
from cifake_ray.data.decoding.items import Item, UnreadableError, read_item
from cifake_ray.data.neutral import NeutralEncoding
from cifake_ray.data.transform import Transform

Valid = tuple[int, int, int, int]  # as `Squares.valid`


@dataclass(frozen=True)
class Batch:
    """Decoded pictures in the order given, zeros for a skipped one. Joined, because 512 tuples pickle more slowly.

    `pixels`: uint8 bytes [n, *shape of the transform]; without a transform the encoded pictures, joined, of `lengths`
    bytes each. `digests`: bytes [n, 32]. `sizes`: (width, height) as delivered.
    """

    pixels: bytes
    lengths: list[int]
    digests: bytes
    sizes: list[tuple[int, int]]
    formats: list[str]
    skipped: dict[int, str]  # position -> reason
    converted: Counter[str]


def decode_batch(items: Sequence[Item], transform: Transform, *, digest: bool = False) -> Batch:
    """The squares of encoded pictures; `digest`: with that of each. Never raises for a bad picture."""
    empty = np.zeros(transform.shape, np.uint8).tobytes()

    def decoded(data: bytes) -> tuple[bytes, Picture]:
        picture = decode_image(data, transform, digest=digest)
        return picture.pixels, picture._replace(squares=NOTHING)  # a crop holds the whole picture in memory

    return _batch(items, decoded, empty)


def pack_batch(items: Sequence[Item], neutral: NeutralEncoding | None = None) -> Batch:
    """The encoded pictures, as delivered or in the neutral encoding; and the facts of each in its own size.

    Never raises for a bad picture.
    """

    def packed(data: bytes) -> tuple[bytes, Picture]:
        return (data, decode_image(data, None)) if neutral is None else neutralised(data, neutral)

    return _batch(items, packed, b"")


class Place(NamedTuple):
    """An encoded picture, and the row of its squares in a file."""

    row: int
    item: Item


def square_batch(places: Sequence[Place], transform: Transform, file: str, start: int) -> list[Valid | None]:
    """Write the squares of pictures into rows of `file`, whose first row begins at byte `start`.

    Returns `Squares.valid` of each, None for a picture that cannot be read. Raises OSError when the disk is full.
    """
    valid: list[Valid | None] = []
    handle = os.open(file, os.O_WRONLY)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row, item in places:
                try:
                    squares = decode_image(read_item(item), transform, digest=False).squares
                except UnreadableError:
                    valid.append(None)
                    continue
                write_at(handle, squares.pixels, start + row * squares.pixels.nbytes)
                valid.append(squares.valid)
    finally:
        os.close(handle)
    return valid


def write_at(handle: int, values: np.ndarray, at: int) -> None:
    """Write an array at byte `at` of an open file, all of it. Raises OSError when the disk is full."""
    left = np.ascontiguousarray(values).data.cast("B")
    while left:
        written = os.pwrite(handle, left, at)
        left, at = left[written:], at + written


def _batch(items: Sequence[Item], work: Callable[[bytes], tuple[bytes, Picture]], empty: bytes) -> Batch:
    made: list[tuple[bytes, Picture]] = []
    skipped: dict[int, str] = {}
    left_out = Picture(NOTHING, bytes(32), (0, 0), "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is counted here
        for position, item in enumerate(items):
            try:
                made.append(work(read_item(item)))
            except UnreadableError as error:
                made.append((empty, left_out))
                skipped[position] = str(error)
    pictures = [picture for _, picture in made]
    return Batch(
        pixels=b"".join(data for data, _ in made),
        lengths=[len(data) for data, _ in made],
        digests=b"".join(picture.digest for picture in pictures),
        sizes=[picture.size for picture in pictures],
        formats=[picture.format for picture in pictures],
        skipped=skipped,
        converted=Counter(what for picture in pictures for what in picture.conversions),
    )
