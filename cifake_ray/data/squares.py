"""Squares of pictures of any size for training: one memory-mapped array, computed once for each transform."""

import dataclasses
import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cifake_ray.console import Progress
from cifake_ray.data.decoding.workers import write_squares
from cifake_ray.data.images import Part
from cifake_ray.data.pixels import ArrayPixels, EncodedPixels
from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError
from cifake_ray.storage.cache import Entry, Staged, cache_root, locked, read_entry, write_entry, writing

KIND = "squares"  # the cache's folder of these arrays
_FORMAT = 1  # raise the number when the squares of a transform change


def hold(part: Part, transform: Transform, progress: Progress | None = None) -> Part:
    """The part with its squares under the transform in one array, from the cache or computed on all cores.

    A part of pictures held in one small size is returned unchanged. Raises InputError when the cache cannot be written.
    """
    pixels = part.pixels
    if not isinstance(pixels, EncodedPixels):
        return part
    path = squares_path(part, transform)
    entry = read_entry(path)
    if entry is None:
        with locked(path):
            entry = read_entry(path) or _made(path, part, pixels, transform, progress)
    return dataclasses.replace(part, pixels=_pixels(entry))


def open_squares(path: Path) -> ArrayPixels:
    """The squares of the cache entry at `path`, memory-mapped, unverified: for worker processes.

    Raises InputError when the entry is gone.
    """
    entry = read_entry(path, verify=False)
    if entry is None:
        raise InputError(f"{path}: gone from the cache", "start the command again to decode the pictures")
    return _pixels(entry)


def _pixels(entry: Entry) -> ArrayPixels:
    return ArrayPixels(entry.arrays["squares"], entry.arrays.get("valid"))


def squares_path(part: Part, transform: Transform) -> Path:
    """The cache entry of a part's squares under a transform."""
    key = hashlib.sha256(f"{_FORMAT} {part.fingerprint} {transform.name}".encode()).hexdigest()[:32]
    return cache_root() / KIND / key


def squares_bytes(count: int, transform: Transform) -> int:
    """Bytes on disk of the squares of `count` pictures."""
    return count * math.prod(transform.shape)


def _made(path: Path, part: Part, pixels: EncodedPixels, transform: Transform, progress: Progress | None) -> Entry:
    count, size = len(pixels), math.prod(transform.shape)
    valid = np.zeros((count, 4), np.int32)
    with writing(f"{count * size / 1e9:.1f} GB of squares"):
        with Staged.bytes_in(path.parent) as staged, staged.path.open("r+b") as file:
            start_of_values = file.seek(0, os.SEEK_END)
            if hasattr(os, "posix_fallocate"):  # reports a full disk before the work; macOS lacks the call
                os.posix_fallocate(file.fileno(), 0, start_of_values + count * size)
            items = pixels.items(slice(None))
            for rows, some in write_squares(items, transform, str(staged.path), start_of_values, progress):
                if None in some:
                    raise InputError(
                        f"{pixels.file}: damaged in the cache", "`cifake-ray cache clear`, then start again"
                    )
                valid[rows] = np.array(some)
        staged.close((count, *transform.shape))
        notes: Mapping[str, object] = {"transform": transform.name, "images": part.fingerprint}
        return write_entry(path, {"squares": staged, "valid": valid}, notes)
