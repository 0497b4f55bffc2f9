"""Decode the pictures of a shard in threads while the network computes on earlier pictures."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from cifake_ray.data.decoding.decode import decode_squares
from cifake_ray.data.decoding.items import Item, UnreadableError, read_item
from cifake_ray.data.transform import Squares, Transform
from cifake_ray.errors import InputError


@dataclass(frozen=True)
class ArrivingSquares:
    """Squares under one transform, uint8 [n, s, s, 3], or [n, t, s, s, 3] of tiles; a slice waits for its pictures."""

    array: np.ndarray
    decoded: Sequence[Future[float]]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: slice) -> np.ndarray:
        for future in self.decoded[rows]:
            future.result()
        return self.array[rows]


@dataclass(frozen=True)
class Decoding:
    """Decoding in progress: each picture is decoded once for all transforms, in order."""

    squares: dict[Transform, ArrivingSquares]
    decoded: Sequence[Future[float]]

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of the decoding; waits until every picture is decoded."""
        return sum(future.result() for future in self.decoded)


@contextmanager
def decoding(items: Sequence[Item], transforms: Sequence[Transform], threads: int) -> Iterator[Decoding]:
    """Start decoding in this many threads, which end with the block. Slices raise InputError for a damaged picture."""
    arrays = {transform: np.empty((len(items), *transform.shape), np.uint8) for transform in transforms}

    def decode(row: int) -> float:
        began = time.thread_time()
        for transform, squares in zip(arrays, _squares(items[row], list(arrays)), strict=True):
            arrays[transform][row] = squares.pixels
        return time.thread_time() - began

    pool = ThreadPoolExecutor(threads)
    try:
        decoded = [pool.submit(decode, row) for row in range(len(items))]
        yield Decoding({one: ArrivingSquares(array, decoded) for one, array in arrays.items()}, decoded)
    finally:
        pool.shutdown(cancel_futures=True)


def encoded(item: Item) -> bytes:
    """The encoded picture. Raises InputError when the cache no longer has the picture."""
    with _readable():
        return read_item(item)


def _squares(item: Item, transforms: Sequence[Transform]) -> list[Squares]:
    with _readable():
        return decode_squares(read_item(item), transforms)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except UnreadableError as error:  # the picture was readable when it was packed
        raise InputError(
            f"packed pictures in the cache: {error}", "`cifake-ray cache clear`, then start again"
        ) from error
