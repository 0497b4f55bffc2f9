"""6: decoding JPEGs: against torchvision's ImageFolder read once, and against the fastest decoder we know of.

    python -m benchmarks.decoding [--runs 5]

Generated pictures saved as JPEG files. All sides use every core, and the pixels are compared.
"""

import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.pairs import OTHER, OURS, RUNS, Row, alternate, compared, measure
from cifake_ray.data.decoding.workers import decode_all

IMAGES = 120_000


def written(folder: Path) -> list[str]:
    """Photograph-like pictures (smooth noise) of CIFAKE's size and quality, in two classes."""
    generator = np.random.default_rng(0)
    files = []
    for number in range(IMAGES):
        file = folder / ("FAKE", "REAL")[number % 2] / f"{number:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((32, 32), Image.Resampling.BICUBIC).save(file, quality=75)
        files.append(str(file))
    return files


def ours(files: list[str]) -> float:
    """Images a second, the start of the processes included."""
    began = time.perf_counter()
    decode_all(files)
    return len(files) / (time.perf_counter() - began)


def image_folder(folder: Path, workers: int) -> float:
    """As a notebook reads a set into memory: a DataLoader over ImageFolder, to uint8 tensors."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms.v2.functional import pil_to_tensor

    torch.set_num_threads(1)
    began = time.perf_counter()
    loader = DataLoader(ImageFolder(str(folder), pil_to_tensor), 500, num_workers=workers)
    return sum(len(labels) for _, labels in loader) / (time.perf_counter() - began)


def floor(files: list[str], cores: int) -> float:
    """simplejpeg (libjpeg-turbo) in as many processes as cores, nothing else done with the pixels."""
    began = time.perf_counter()
    parts = [files[part::cores] for part in range(cores)]
    with ProcessPoolExecutor(cores) as pool:
        done = sum(pool.map(_decode, parts))
    return done / (time.perf_counter() - began)


def _decode(files: list[str]) -> int:
    from simplejpeg import decode_jpeg

    for file in files:
        decode_jpeg(Path(file).read_bytes())
    return len(files)


def compare(runs: int = RUNS) -> list[Row]:
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        files = written(Path(name))
        check_same(files[:500])
        tried = {workers: image_folder(Path(name), workers) for workers in range(cores + 1)}
        best = max(tried, key=lambda workers: tried[workers])
        mine = partial(ours, files)
        folder = alternate({OURS: mine, OTHER: partial(image_folder, Path(name), best)}, runs)
        native = alternate({OURS: mine, OTHER: partial(floor, files, cores)}, runs)
    return [
        compared(6, f"decoding {IMAGES:,} JPEGs, against ImageFolder read once", folder, "img/s", 3, rate=True),
        compared(6, "the same, against simplejpeg in as many processes", native, "img/s", 1 / 1.3, rate=True),
    ]


def check_same(files: list[str]) -> None:
    """Exit when the decoders do not give the same pixels."""
    from simplejpeg import decode_jpeg

    ours = decode_all(files).images
    theirs = np.stack([decode_jpeg(Path(file).read_bytes()) for file in files])
    shown = np.stack([np.asarray(Image.open(file)) for file in files])  # as ImageFolder reads them
    if not (np.array_equal(ours, theirs) and np.array_equal(ours, shown)):
        raise SystemExit("the decoders differ in their pixels")


if __name__ == "__main__":
    measure(compare, __doc__)
