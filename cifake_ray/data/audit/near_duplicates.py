"""Pairs of pictures with the same pixels, and pairs that look the same.

Near duplicates agree in both of two measures: the difference hash of 64 bits (dHash: is each pixel of a 9x8 grey
thumbnail darker than the one to its right?) finds candidates, and the root mean square difference of the pixels
decides, because the hash alone takes smooth pictures for one another.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cifake_ray.data.stratify import Indices

Bits = npt.NDArray[np.uint8]
_ROWS, _COLUMNS = 128, 1024  # hashes compared at a time: 1.2 ns a pair; 2.8 at 512 and 8192, out of the cache
_PAIRS = 2048  # pictures subtracted at a time


@dataclass(frozen=True)
class Pairs:
    """Positions `first` < `second`: int64 [n] each, and how far apart: bits of the hash, grey levels 0..255."""

    first: Indices
    second: Indices
    bits: Bits
    rms: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)


def near_pairs(images: np.ndarray, copies: Indices, *, max_bits: int, max_rms: float) -> Pairs:
    """All pairs of uint8 [n, 32, 32, 3] within both limits, closest first; without pairs of equal `copies`.

    Compares every pair on all cores: for 120,000 images 7.2e9 pairs, 10 to 20 s of one core.
    """
    hashes = difference_hashes(images)

    def compare(start: int) -> Pairs:
        first, second, bits = _near_hashes(hashes, start, max_bits)
        other = copies[first] != copies[second]
        first, second, bits = first[other], second[other], bits[other]
        rms = _rms(images, first, second)
        close = rms <= max_rms
        return Pairs(first[close], second[close], bits[close], rms[close])

    with ThreadPoolExecutor() as threads:
        blocks = list(threads.map(compare, range(0, len(images), _ROWS)))
    first, second = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("first", "second"))
    bits, rms = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("bits", "rms"))
    order = np.lexsort((second, first, rms))
    return Pairs(first[order], second[order], bits[order], rms[order])


def difference_hashes(images: np.ndarray) -> npt.NDArray[np.uint64]:
    """dHash of uint8 [n, 32, 32, 3]: uint64 [n] (Krawetz 2013), of ITU-R 601 grey averaged by area to 9x8 pixels."""
    rows, columns = _averaging(images.shape[1], 8), _averaging(images.shape[2], 9)
    hashes = np.empty(len(images), np.uint64)
    for start in range(0, len(images), _PAIRS):
        some = slice(start, start + _PAIRS)
        grey = images[some] @ np.array([0.299, 0.587, 0.114], np.float32)
        thumbnails = np.rint(rows @ grey @ columns.T)  # whole levels, or equal neighbours would differ by rounding
        darker = thumbnails[:, :, :-1] < thumbnails[:, :, 1:]
        hashes[some] = np.packbits(darker.reshape(-1, 64), axis=1).view(np.uint64).ravel()
    return hashes


def _averaging(length: int, cells: int) -> npt.NDArray[np.float32]:
    """The matrix [cells, length] that averages `length` pixels by area into `cells`."""
    edges, pixels = np.arange(cells + 1) * (length / cells), np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    matrix: npt.NDArray[np.float32] = (np.clip(overlap, 0, None) * (cells / length)).astype(np.float32)
    return matrix


def _near_hashes(hashes: npt.NDArray[np.uint64], start: int, max_bits: int) -> tuple[Indices, Indices, Bits]:
    """Pairs of a row of this block with any later image, and the bits in which they differ."""
    rows = hashes[start : start + _ROWS, None]
    found = []
    for column in range(start, len(hashes), _COLUMNS):
        bits = np.bitwise_count(rows ^ hashes[None, column : column + _COLUMNS])
        row, at = np.nonzero(bits <= max_bits)
        later = row + start < at + column
        row, at = row[later], at[later]
        found.append((row + start, at + column, bits[row, at]))
    first, second, differing = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second, differing


def _rms(images: np.ndarray, first: Indices, second: Indices) -> npt.NDArray[np.float32]:
    """Root mean square difference of each pair's pixels, 0..255: float32 [pairs]."""
    rms = np.empty(len(first), np.float32)
    for start in range(0, len(first), _PAIRS):
        some = slice(start, start + _PAIRS)
        difference = images[first[some]].astype(np.float32) - images[second[some]]
        rms[some] = np.sqrt((difference**2).mean(axis=(1, 2, 3)))
    return rms
