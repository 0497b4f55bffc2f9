"""Pixels of pictures by row, separate from the image table."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from cifake_ray.data.decoding.batches import decode_batch
from cifake_ray.data.decoding.items import Span
from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError


class Pixels(Protocol):
    """Pixels of pictures by row, from an array of squares or from encoded files."""

    def __len__(self) -> int: ...

    @property
    def side(self) -> int | None:
        """Pixels a side of pictures that are all held in one small size; None for pictures of any size."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of the images, or of the encoded pictures, in the cache."""
        ...

    def under(self, transform: Transform) -> "Pixels":
        """The pictures under a transform of `model_transform` for this `side`."""
        ...

    def take(self, rows: np.ndarray) -> "Pixels":
        """The pictures at these positions, int64 [m]."""
        ...

    def batch(self, rows: np.ndarray | slice) -> np.ndarray:
        """The squares of these rows: uint8 [n, s, s, 3], 0..255, or [n, t, s, s, 3] of tiles."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayPixels:
    """Squares of one size in one array, memory-mapped: uint8 [n, s, s, 3]. A slice of rows is a view, no copy.

    `valid`: int32 [n, 4], `Squares.valid` of each picture, where the array holds more than the square.
    """

    array: np.ndarray
    valid: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.array)

    @property
    def side(self) -> int | None:
        return int(self.array.shape[1])

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    def under(self, transform: Transform) -> "ArrayPixels":  # noqa: ARG002 (held as delivered; the device resizes)
        return self

    def take(self, rows: np.ndarray) -> "ArrayPixels":
        return ArrayPixels(self.array[rows], None if self.valid is None else self.valid[rows])

    def batch(self, rows: np.ndarray | slice) -> np.ndarray:
        return self.array[rows]


@dataclass(frozen=True, eq=False)
class EncodedPixels:
    """Pictures of any size as encoded files, packed one after another in `file`, decoded at each request.

    `places`: int64 [n, 2], position and bytes of each in the file. `transform`: from a picture to its squares.
    """

    file: Path
    places: np.ndarray
    transform: Transform | None = None

    def __len__(self) -> int:
        return len(self.places)

    @property
    def side(self) -> int | None:
        return None

    @property
    def nbytes(self) -> int:
        return int(self.places[:, 1].sum())

    def under(self, transform: Transform) -> "EncodedPixels":
        return replace(self, transform=transform)

    def take(self, rows: np.ndarray) -> "EncodedPixels":
        return replace(self, places=self.places[rows])

    def items(self, rows: np.ndarray | slice) -> list[Span]:
        """The places of the encoded pictures of these rows."""
        return [Span(str(self.file), at, size) for at, size in self.places[rows].tolist()]

    def batch(self, rows: np.ndarray | slice) -> np.ndarray:
        """The squares, decoded in the calling thread. Raises InputError when the packed file is gone or damaged."""
        assert self.transform is not None, "pictures of any size become squares under a transform"
        found = decode_batch(self.items(rows), self.transform)
        if found.skipped:
            raise InputError(f"{self.file}: damaged in the cache ({min(found.skipped.values())})", "start again")
        shape = (len(found.sizes), *self.transform.shape)
        return np.frombuffer(bytearray(found.pixels), np.uint8).reshape(shape)
