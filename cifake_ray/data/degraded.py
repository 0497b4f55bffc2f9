"""Degraded copies of some pictures as squares: one memory-mapped array, computed once for each transform."""

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from cifake_ray.console import Progress
from cifake_ray.data.corruptions import Corruption
from cifake_ray.data.images import Part
from cifake_ray.data.squares import KIND
from cifake_ray.data.streaming import stream_squares
from cifake_ray.data.transform import Transform
from cifake_ray.storage.cache import Entry, Staged, cache_root, locked, read_entry, write_entry, writing

_FORMAT = 1  # raise the number when a degradation changes


def hold_degraded(
    part: Part,
    rows: np.ndarray,
    transform: Transform,
    corruptions: Sequence[Corruption],
    progress: Progress | None = None,
) -> Path:
    """The cache entry with the squares of these rows, int64 [n], degraded in one way after another: uint8 [k n, ...].

    Squares of one degradation stand together, in the order of `rows`. `open_squares` opens the entry. Raises InputError
    when the cache cannot be written, or the packed pictures are gone.
    """
    path = degraded_path(part, rows, transform, corruptions)
    if read_entry(path) is None:
        with locked(path):
            if read_entry(path) is None:
                _made(path, part, rows, transform, corruptions, progress)
    return path


def degraded_path(part: Part, rows: np.ndarray, transform: Transform, corruptions: Sequence[Corruption]) -> Path:
    """The cache entry of these degraded squares."""
    chosen = hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()
    names = "; ".join(one.name for one in corruptions)
    key = hashlib.sha256(f"degraded {_FORMAT} {part.fingerprint} {transform.name} {chosen} {names}".encode())
    return cache_root() / KIND / key.hexdigest()[:32]


def _made(
    path: Path, part: Part, rows: np.ndarray, transform: Transform, corruptions: Sequence[Corruption],
    progress: Progress | None,
) -> Entry:  # fmt: skip
    """The degradations of a batch run in threads: Pillow and SciPy compute outside the interpreter lock."""
    chosen, size, done = part.take(rows), math.prod(transform.shape), 0
    with writing(f"{len(corruptions) * len(rows) * size / 1e9:.1f} GB of degraded squares"):
        with (
            Staged.bytes_in(path.parent) as staged,
            staged.path.open("r+b") as file,
            ThreadPoolExecutor(len(corruptions)) as pool,
        ):
            start_of_values = file.seek(0, os.SEEK_END)
            for at, squares in stream_squares(chosen, transform):
                for number, some in enumerate(pool.map(partial(_degraded, squares, at.start), corruptions)):
                    file.seek(start_of_values + (number * len(rows) + at.start) * size)
                    file.write(np.ascontiguousarray(some).data)
                done += len(squares)
                if progress:
                    progress(done, len(rows))
        staged.close((len(corruptions) * len(rows), *transform.shape))
        notes = {"transform": f"{transform.name}, degraded", "images": part.fingerprint}
        return write_entry(path, {"squares": staged}, notes)


def _degraded(squares: np.ndarray, start: int, corruption: Corruption) -> np.ndarray:
    return corruption(squares, start)
