"""6b: JPEGs of 512 px to one array of 224 px, against torchvision's ImageFolder and DataLoader at its best setting.

    python -m benchmarks.decoding_native [--runs 5]

Generated pictures saved as JPEG files, read by a study as packed pictures. The first pass, which packs the files and
computes the digests of their pixels, is stated apart: it is done once a set, the array once a transform. Both sides use
every core and alternate. Each row does the same work on both sides: the whole picture (`Resize`) or its centre
(`CenterCrop`), as uint8 in one array; shapes and the mean absolute difference of the pixels are checked first.
torchvision's side has the number of workers and the batch that are fastest here, with ImageFolder's own decoder
(Pillow), and in further rows with torchvision.io, which decodes into tensors that are resized by SIMD.
"""

import os
import shutil
import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.pairs import OTHER, OURS, RUNS, Row, alternate, compared, measure, shown
from cifake_ray.data import Part, load_images
from cifake_ray.data.squares import KIND, hold
from cifake_ray.data.transform import Transform, native_transform
from cifake_ray.storage.cache import cache_root

IMAGES = int(os.environ.get("BENCHMARK_IMAGES", "5000"))
SIDE, LARGE, QUALITY = 224, 512, 90
DECODERS, BATCHES = ("Pillow", "torchvision.io"), (16, 64, 256)
REDUCED = native_transform("resize", SIDE)


class Compared(NamedTuple):
    """The transform, torchvision's step for the same work, the largest mean difference of pixels in levels of 255."""

    what: str
    transform: Transform
    step: str
    most: float
    goal: float


COMPARED = (
    Compared("whole picture, reduced scale", REDUCED, "Resize", 2.0, 3.0),
    Compared("whole picture, full scale", replace(REDUCED, reduced=False), "Resize", 0.5, 1.5),
    Compared("centre", native_transform("crop", SIDE), "CenterCrop", 0.0, 1.5),
)


class Setting(NamedTuple):
    """How torchvision's side reads the pictures."""

    decoder: str
    workers: int
    batch: int


def write_natives(folder: Path, count: int, parts: tuple[str, ...] = ("train",), side: int = LARGE) -> None:
    """Photograph-like pictures in two classes: scenes of 40 blocks with grain, 60 to 100 KB of JPEG each at 512 px."""
    for part in parts:
        generator = np.random.default_rng([*part.encode()])
        grain = generator.integers(-6, 7, (side + 64, side + 64, 3))
        for number in range(count):
            file = folder / part / ("FAKE", "REAL")[number % 2] / f"{number:05}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray(generator.integers(0, 256, (40, 40, 3), dtype=np.uint8))
            smooth = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)).astype(np.int16)
            top, left = generator.integers(0, 64, 2).tolist()
            pixels = np.clip(smooth + grain[top : top + side, left : left + side], 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(file, quality=QUALITY)


def packing(source: str) -> float:
    """Pictures a second of the first pass: listed, decoded, packed, digests computed."""
    shutil.rmtree(cache_root() / "images", ignore_errors=True)
    began = time.perf_counter()
    images = load_images(source)
    return (len(images.train) + len(images.test)) / (time.perf_counter() - began)


def ours(part: Part, transform: Transform) -> tuple[np.ndarray, float]:
    """The memory-mapped array, uint8 [n, s, s, 3]; pictures a second, start of processes and digest included."""
    shutil.rmtree(cache_root() / KIND, ignore_errors=True)
    began = time.perf_counter()
    held = hold(part, transform)
    return held.images, len(part) / (time.perf_counter() - began)


def image_folder(folder: Path, step: str, setting: Setting) -> tuple[np.ndarray, float]:
    """As a notebook reads a set into one array, uint8 [n, 3, s, s]; pictures a second."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    size: Any = {"Resize": [SIDE, SIDE], "CenterCrop": SIDE}[step]
    steps, loader = [getattr(v2, step)(size)], {"loader": partial(decode_image, mode=ImageReadMode.RGB)}
    if setting.decoder == "Pillow":
        steps, loader = [*steps, v2.PILToTensor()], {}
    began = time.perf_counter()
    images = ImageFolder(str(folder / "train"), v2.Compose(steps), **loader)
    array = np.empty((len(images), 3, SIDE, SIDE), np.uint8)
    at = 0
    for some, _ in DataLoader(images, setting.batch, num_workers=setting.workers):
        array[at : at + len(some)] = some.numpy()
        at += len(some)
    return array, at / (time.perf_counter() - began)


def best_setting(folder: Path, step: str, decoder: str, cores: int) -> Setting:
    """The number of workers and the batch size that are fastest here."""
    settings = [Setting(decoder, *values) for values in product(range(cores + 1), BATCHES)]
    rates = {setting: image_folder(folder, step, setting)[1] for setting in settings}
    return max(settings, key=lambda setting: rates[setting])


def difference(mine: np.ndarray, theirs: np.ndarray) -> float:
    """Mean absolute difference, in levels of 255, of [n, s, s, 3] and [n, 3, s, s]. Raises SystemExit: other shapes."""
    if (len(theirs), *theirs.shape[2:], 3) != mine.shape:
        raise SystemExit(f"ours has shape {mine.shape}, torchvision's {theirs.shape}")
    each = [np.abs(one.astype(np.int16) - two.transpose(1, 2, 0)).mean() for one, two in zip(mine, theirs, strict=True)]
    return float(np.mean(each))


def side_by_side(part: Part, folder: Path, one: Compared, decoder: str, runs: int) -> Row:
    """The row of one comparison. Raises SystemExit where the two sides do not the same work."""
    setting = best_setting(folder, one.step, decoder, len(os.sched_getaffinity(0)))
    apart = difference(ours(part, one.transform)[0], image_folder(folder, one.step, setting)[0])
    if apart > one.most:
        raise SystemExit(f"{one.what}: pixels differ by {apart:.2f} levels on average, {one.most} is expected at most")
    sides = {
        OURS: lambda: ours(part, one.transform)[1],
        OTHER: lambda: image_folder(folder, one.step, setting)[1],
    }
    size = f"{part.pixels.nbytes / len(part) / 1000:.0f} kB"
    what = f"{len(part):,} JPEGs of {LARGE} px ({size}) to {SIDE} px: {one.what}; `{one.step}` by {decoder}, "
    what += f"{setting.workers} workers, batches of {setting.batch}; pixels {apart:.2f} levels apart"
    return compared("6b", what, alternate(sides, runs), "img/s", one.goal, rate=True)


def compare(runs: int = RUNS) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_natives(folder, IMAGES)
        write_natives(folder, 8, ("test",))
        first = shown([packing(name) for _ in range(min(runs, 3))], "img/s")
        part = load_images(name).train
        rows = [Row("6b", "first pass: packing with digests, once a set", first, "", "", "stated", True)]
        return rows + [side_by_side(part, folder, one, decoder, runs) for one in COMPARED for decoder in DECODERS]


if __name__ == "__main__":
    measure(compare, __doc__)
