"""6b: JPEGs of 512 px to one array of 224 px, against torchvision's ImageFolder and DataLoader at its best setting.

    python -m benchmarks.decoding_native [--runs 5]

Generated pictures saved as JPEG files, read by a study as packed pictures. The first pass, which packs the files and
computes the digests of their pixels, is stated apart: it is done once a set, the array once a transform. Both sides use
every core and alternate.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.pairs import OTHER, OURS, RUNS, Row, alternate, compared, measure, shown
from cifake_ray.data import Part, load_images
from cifake_ray.data.squares import KIND, hold
from cifake_ray.data.transform import Transform
from cifake_ray.storage.cache import cache_root

IMAGES = int(os.environ.get("BENCHMARK_IMAGES", "5000"))
SIDE, LARGE, QUALITY = 224, 512, 90
BATCHES = (16, 64, 256)


def write_natives(folder: Path, count: int, parts: tuple[str, ...] = ("train",), side: int = LARGE) -> None:
    """Photograph-like pictures in two classes: scenes of 40 blocks with grain, 60 to 100 KB of JPEG each at 512 px."""
    generator = np.random.default_rng(0)
    grain = generator.integers(-6, 7, (side + 64, side + 64, 3))
    for part in parts:
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


def ours(part: Part, transform: Transform) -> float:
    """Pictures a second into the memory-mapped array, the start of the processes and the array's digest included."""
    shutil.rmtree(cache_root() / KIND, ignore_errors=True)
    began = time.perf_counter()
    hold(part, transform)
    return len(part) / (time.perf_counter() - began)


def image_folder(folder: Path, workers: int, batch: int) -> float:
    """As a notebook reads a set into one array: Resize, CenterCrop, DataLoader."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    steps = v2.Compose([v2.Resize(SIDE), v2.CenterCrop(SIDE), v2.PILToTensor()])
    began = time.perf_counter()
    images = ImageFolder(str(folder / "train"), steps)
    array = np.empty((len(images), 3, SIDE, SIDE), np.uint8)
    at = 0
    for some, _ in DataLoader(images, batch, num_workers=workers):
        array[at : at + len(some)] = some.numpy()
        at += len(some)
    return at / (time.perf_counter() - began)


def best_setting(folder: Path, cores: int) -> Callable[[], float]:
    """The DataLoader at the number of workers and batch size that are fastest here."""
    tried = {
        (workers, batch): image_folder(folder, workers, batch) for workers in range(cores + 1) for batch in BATCHES
    }
    workers, batch = max(tried, key=lambda setting: tried[setting])
    return partial(image_folder, folder, workers, batch)


def compare(runs: int = RUNS) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_natives(folder, IMAGES)
        write_natives(folder, 8, ("test",))
        first = [packing(name) for _ in range(min(runs, 3))]
        part = load_images(name).train
        theirs = best_setting(folder, len(os.sched_getaffinity(0)))
        rows = []
        for what, transform, goal in (
            ("resize, reduced scale", Transform("resize", SIDE, reduced=True), 3.0),
            ("crop", Transform("crop", SIDE), 1.5),
            ("resize, full scale (Lanczos)", Transform("resize", SIDE), 1.5),
        ):
            found = alternate({OURS: partial(ours, part, transform), OTHER: theirs}, runs)
            rows.append(compared("6b", f"{IMAGES:,} JPEGs of {LARGE} px to {SIDE}: {what}", found, "img/s", goal,
                                 rate=True))  # fmt: skip
    packed = Row("6b", "first pass: packing with digests, once a set", shown(first, "img/s"), "", "", "stated", True)
    return [packed, *rows]


if __name__ == "__main__":
    measure(compare, __doc__)
