"""14: frozen features of pictures of any size, decoded on the way, against the forward pass over squares in memory.

    python -m benchmarks.native_extraction [--runs 5]

ResNet50 up to layer2 at 224 px, random weights (they cost what trained ones do), of the centre of JPEGs of 512 px.
These are noise with the spectrum of photographs (seven octaves, each weaker than the one below it), quality 90, of
62 kB; the files of 42 generators at that size and quality had 63 kB. Both sides take the same shards over all cores,
or a GPU where there is one.
"""

import io
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.pairs import OTHER, OURS, RUNS, Row, alternate, compared, measure
from cifake_ray.data.pixels import ArrayPixels, EncodedPixels, Pixels
from cifake_ray.features.extraction import shard_bounds
from cifake_ray.features.places import transform_of
from cifake_ray.features.shards import Extraction, Pass, local_shards
from cifake_ray.models.families.torchvision import TorchvisionSpec
from cifake_ray.models.weights import random_weights

PICTURES, SIDE, INPUT = 474, 512, 224  # six shards
OCTAVES, DECAY = 7, 1.8


def photograph(rng: np.random.Generator) -> Image.Image:
    """Noise of 512 px whose amplitude falls with its frequency, as that of photographs does."""
    total = np.full((SIDE, SIDE, 3), 128.0)
    for octave in range(OCTAVES):
        side = 8 << octave
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        total += (np.asarray(noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64) - 128) / DECAY**octave
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def packed(folder: Path) -> EncodedPixels:
    """The pictures, one after another in a file."""
    rng, encoded = np.random.default_rng(0), []
    for _ in range(PICTURES):
        data = io.BytesIO()
        photograph(rng).save(data, "JPEG", quality=90)
        encoded.append(data.getvalue())
    (folder / "encoded").write_bytes(b"".join(encoded))
    lengths = np.array([len(data) for data in encoded])
    return EncodedPixels(folder / "encoded", np.stack([lengths.cumsum() - lengths, lengths], axis=1))


def rate(pixels: Pixels, bounds: list[tuple[int, int]]) -> float:
    """Pictures a second."""
    spec = TorchvisionSpec(random_weights("resnet50"), INPUT, "layer2", fit="crop", side=INPUT)
    one = Pass(spec, spec.build(spec.columns), spec.columns, transform_of(spec, pixels))
    began = time.perf_counter()
    for _ in local_shards(pixels, bounds, Extraction((one,))):
        pass
    return len(pixels) / (time.perf_counter() - began)


def compare(runs: int = RUNS) -> list[Row]:
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        pictures = packed(Path(name))
        mean = int(pictures.places[:, 1].mean())
        bounds = shard_bounds(PICTURES, INPUT**2, mean)
        spec = TorchvisionSpec(random_weights("resnet50"), INPUT, "layer2", fit="crop", side=INPUT)
        transform = transform_of(spec, pictures)
        assert transform is not None
        squares = ArrayPixels(pictures.under(transform).batch(slice(None)))
        found = alternate({OURS: partial(rate, pictures, bounds), OTHER: partial(rate, squares, bounds)}, runs)
    what = f"ResNet50 to layer2 at {INPUT} px from JPEGs of {SIDE} px ({mean // 1000} kB), {cores} cores"
    return [compared(14, f"{what}, against the forward pass alone", found, "img/s", 0.85, rate=True)]


if __name__ == "__main__":
    measure(compare, __doc__)
