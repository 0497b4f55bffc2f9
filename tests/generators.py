"""A small source of FAKE pictures by several generators, as files beside a manifest."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN = {"adam": 30, "bertha": 30, "carl": 30}
TEST = {"adam": 24, "bertha": 24, "carl": 12}
REAL = {"train": 60, "test": 30}
SIDE = 32


def write_generators(
    folder: Path, train: Mapping[str, int] = TRAIN, test: Mapping[str, int] = TEST, unnamed: int = 0
) -> str:
    """Pictures of 32 px with a manifest.csv; the folder as text. unnamed: FAKE train pictures of no known generator.

    FAKE pictures have stripes that REAL ones lack, of another width for each generator.
    """
    random = np.random.default_rng(0)
    lines = ["path,label,part,generator"]
    folder.mkdir(parents=True)
    counts = {"train": {**train, "": unnamed}, "test": dict(test)}
    for part, by_generator in counts.items():
        for label, names in (("FAKE", by_generator), ("REAL", {"": REAL[part]})):
            for width, (generator, count) in enumerate(names.items(), 2):
                for number in range(count):
                    pixels = random.integers(60, 200, (SIDE, SIDE, 3), dtype=np.uint8)
                    if label == "FAKE":
                        pixels[:, ::width] //= 2
                    name = f"{part}-{label}-{generator}-{number:03d}.png"
                    Image.fromarray(pixels).save(folder / name)
                    lines.append(f"{name},{label},{part},{generator}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return str(folder)
