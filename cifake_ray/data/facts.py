"""Facts of pictures that decoding finds: digests of the pixels, sizes, formats. Imported by decoding processes."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

DIGEST = 32  # bytes of a SHA-256


@dataclass(frozen=True)
class Facts:
    """Facts of each picture, from decoding. digests: bytes [n], `S32`; sizes: int32 [n, 2], width and height as
    delivered; formats: unicode [n], "" where there was no file."""

    digests: np.ndarray
    sizes: np.ndarray
    formats: np.ndarray

    def take(self, rows: Any) -> "Facts":
        """The facts of these rows: positions, a mask or a slice."""
        return Facts(np.ascontiguousarray(self.digests[rows]), self.sizes[rows], self.formats[rows])


def pixel_digest(pixels: np.ndarray) -> bytes:
    """SHA-256 of a picture's RGB pixels, uint8 [h, w, 3], behind its size unless the picture is a square.

    The size distinguishes a white picture of 80x40 from a white picture of 40x80. Squares have version 0.1's digest.
    """
    height, width = pixels.shape[:2]
    total = hashlib.sha256(b"" if width == height else f"{width}x{height}".encode())
    total.update(np.ascontiguousarray(pixels).data)
    return total.digest()


def facts_of(images: np.ndarray) -> Facts:
    """The facts of decoded pictures: uint8 [n, h, w, 3]. 11 microseconds a picture of 32 pixels."""
    digests = b"".join(map(pixel_digest, images))
    sizes = np.tile(np.array([images.shape[2], images.shape[1]], np.int32), (len(images), 1))
    return Facts(np.frombuffer(digests, f"S{DIGEST}"), sizes, np.zeros(len(images), "U1"))
