"""Pixels of pictures by row, apart from the table that says what the pictures are."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Pixels(Protocol):
    """Decoded pictures: what holds them decides where they come from."""

    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray | slice) -> np.ndarray:
        """The pictures of these rows: uint8 [n, h, w, 3], 0..255."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayPixels:
    """Pictures of one size in one array, memory-mapped: uint8 [n, h, w, 3]. A slice of rows is a view, no copy."""

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def batch(self, rows: np.ndarray | slice) -> np.ndarray:
        """The pictures of these rows: uint8 [n, h, w, 3], 0..255."""
        return self.array[rows]
