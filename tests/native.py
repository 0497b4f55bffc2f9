"""A small source of pictures of many sizes, as files in folders."""

from pathlib import Path

import numpy as np
from PIL import Image

COUNTS = {"train": 24, "test": 10}  # of each class


def write_native(folder: Path, smallest: int = 20, largest: int = 90) -> str:
    """JPEG and PNG pictures of `smallest` to `largest` pixels a side in folders of part and class; their path as text.

    FAKE pictures have stripes that REAL ones lack.
    """
    random = np.random.default_rng(0)
    for part, count in COUNTS.items():
        for label in ("FAKE", "REAL"):
            place = folder / part / label
            place.mkdir(parents=True)
            for number in range(count):
                height, width = random.integers(smallest, largest + 1, 2)
                pixels = random.integers(60, 200, (height, width, 3), dtype=np.uint8)
                if label == "FAKE":
                    pixels[:, ::2] //= 2
                kind = "png" if number % 2 else "jpg"
                Image.fromarray(pixels).save(place / f"{number:03d}.{kind}")
    return str(folder)
