"""Squares of a whole part, batch by batch, so that judging never holds all pictures in memory."""

import io
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

import numpy as np
from PIL import Image

from cifake_ray.data.decoding.workers import square_all
from cifake_ray.data.images import Part
from cifake_ray.data.pixels import EncodedPixels
from cifake_ray.data.transform import Transform, conversions_under, to_squares
from cifake_ray.errors import InputError

_ROWS = 1000  # of pictures held in one small size, at a time


def stream_squares(part: Part, transform: Transform) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, squares under the transform, uint8), each picture of a part once; packed ones in any order.

    Squares of pictures held in the transform's size are slices of the array. Squares of other held pictures are made
    one by one, as from a file. Packed pictures are decoded on all cores. Raises InputError when the packed file is gone
    or damaged.
    """
    pixels = part.pixels
    if isinstance(pixels, EncodedPixels):
        yield from _decoded(pixels, transform)
        return
    for start in range(0, len(part), _ROWS):
        rows = slice(start, min(start + _ROWS, len(part)))
        held = pixels.batch(rows)
        yield rows, held if is_held_for(part, transform) else np.stack([_squares(image, transform) for image in held])


def is_held_for(part: Part, transform: Transform) -> bool:
    """Whether the part is held as the squares of the transform."""
    return part.side is not None and transform == Transform("resize", part.side)


def squares_of(part: Part, rows: np.ndarray, transform: Transform) -> np.ndarray:
    """The squares of a few rows, int64 [m], under the transform: uint8 [m, ...]."""
    chosen = part.take(rows)
    squares = np.empty((len(rows), *transform.shape), np.uint8)
    for some, found in stream_squares(chosen, transform):
        squares[some] = found
    return squares


def seen_conversions(part: Part, transform: Transform) -> dict[str, int]:
    """How many pictures the transform resizes, squeezes, enlarges or repeats, in addition to decoding's conversions."""
    return {} if is_held_for(part, transform) else conversions_under(transform, part.table.sizes)


def _squares(image: np.ndarray, transform: Transform) -> np.ndarray:
    picture = Image.fromarray(image)
    if transform.neutral is not None:
        picture = Image.open(io.BytesIO(transform.neutral.encoded(picture, sha256(image.tobytes()).digest())))
    return to_squares(picture, replace(transform, neutral=None)).pixels


def _decoded(pixels: EncodedPixels, transform: Transform) -> Iterator[tuple[slice, np.ndarray]]:
    for rows, batch in square_all(pixels.items(slice(None)), transform):
        if batch.skipped:
            raise InputError(f"{pixels.file}: damaged in the cache ({min(batch.skipped.values())})", "start again")
        count = len(batch.sizes)
        squares = np.frombuffer(bytearray(batch.pixels), np.uint8).reshape(count, *transform.shape)
        yield slice(int(rows[0]), int(rows[0]) + count), squares  # packed pictures come in the order given
