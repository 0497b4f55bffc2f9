"""The built-in sample at native sizes: pictures as files of 192 to 512 px. Results say nothing about real generators.

REAL is a dead-leaves scene as in the sample of 32 px, behind a lens (1, 2, 1) and with grain. FAKE is another such
scene after one of three invented decoders, which halve the picture and enlarge it again: `transposed` (transposed
convolution of stride 2 with uneven taps: Odena et al. 2016, "Deconvolution and checkerboard artifacts"), `nearest`
(nearest-neighbour, then a smoothing convolution) and `learned` (sub-pixel convolution, each of the four phases with a
kernel of its own: Shi et al. 2016, arXiv 1609.05158). Part of the lost detail survives, and grain makes up for some of
the rest, so that files of both classes are equally large. Size, format and quality are drawn alike for both classes.

Only sums, products, roots and random bits go into a pixel, no transforms and no transcendental functions, so that the
pixels are the same on every machine. PNG keeps the pixels; JPEG is libjpeg-turbo's, whose integer transform gives the
same pixels on every processor.

Difficulty (tests/data/datasets/test_sample_native.py): a logistic regression on the radial spectrum that is trained on
the 480 train pictures calls 90.0 % of the 120 test pictures rightly (REAL 97, transposed 95, nearest 70, learned 85);
86.8 % in five folds over all. The bias check (data/audit/bias.py), which sees no pixel, reaches 49.8 % [45.9, 53.8].
All 600 pictures: 54 megapixels, 41 MB, 12 s of one core, 6 s of two.
"""

import io
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cifake_ray.data.datasets.card import Card
from cifake_ray.data.datasets.sample import PALETTE, Floats, halve, texture_bank
from cifake_ray.machine import cores
from cifake_ray.runs.columns import LABELS

Levels = npt.NDArray[np.uint8]

VERSION = 1  # part of the cache key: raise the number when any pixel changes
SEED = 20_260
PER_CLASS = {"train": 240, "test": 60}
GENERATORS = ("transposed", "nearest", "learned")
SIDES = (192, 512)  # pixels, both ends included
_LEAVES = 40
_RADII = (8.0, 220.0)  # smallest and largest leaf, in pixels
_KEPT = (0.15, 0.95)  # share of the lost detail that survives; sets the difficulty, measured in the docstring
_RIPPLE = (0.0, 0.06)
_GRAIN = (0.5, 4.0)  # standard deviation of the camera's grain, in levels of 255
_MADE_UP = 0.35  # share of lost detail, by energy, that grain replaces: files of both classes are equally large
_QUALITY = (85, 98)  # of JPEG, the last not included
# Kernels of the learned up-sampler: 3x3 taps for each phase, in 64ths. The even phase is sharper than the others.
_PHASES = np.array(
    [
        [[-1, -2, 1], [-2, 70, 0], [1, 0, -3]],
        [[0, -2, -1], [1, 35, 33], [0, -1, -1]],
        [[-1, 1, 0], [-2, 34, -1], [-1, 35, -1]],
        [[0, 0, -1], [0, 16, 17], [0, 17, 15]],
    ],
    dtype=np.float32,
) / np.float32(64)  # fmt: skip

CARD = Card(
    name="sample-native",
    title="synthetic sample at native sizes",
    images={part: 2 * count for part, count in PER_CLASS.items()},
    note="synthetic sample with invented generators; results say nothing about real generators",
    generated=True,
    content={
        "train": "aca1d3039ca2271968c4acfb3c055dc15d78eb7946ab9e0fab8087a608c8991d",
        "test": "b3a006e834f5bd97e8ffa7889144596cc5cf36111c9ea4528429e018266b8fbf",
    },
)


@dataclass(frozen=True)
class NativePicture:
    """One file of the sample. generator: "" of a REAL picture; data: the encoded picture, in the format of `name`."""

    part: str
    label: int
    generator: str
    name: str
    data: bytes

    @property
    def path(self) -> str:
        """`train/FAKE/nearest/0007.png`."""
        folders = [self.part, LABELS[self.label], self.generator]
        return "/".join([*(folder for folder in folders if folder), self.name])


def build_sample_native() -> list[NativePicture]:
    """All 600 pictures, always the same, in canonical order (part, label, name); over all cores."""
    places = [(part, label, at) for part, count in PER_CLASS.items() for label in (0, 1) for at in range(count)]
    _bank()
    with ThreadPoolExecutor(cores()) as threads:  # NumPy and Pillow work outside the interpreter lock
        return list(threads.map(lambda place: _picture(*place), places))


def write_folder(path: Path) -> None:
    """Write the sample below `path` as `<part>/FAKE/<generator>/0000.png` and `<part>/REAL/0000.jpg`."""
    for picture in build_sample_native():
        file = path / picture.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture.data)


def generator_of(label: int, at: int) -> str:
    """Name of the generator of picture `at` of a class; "" for REAL."""
    return GENERATORS[at % len(GENERATORS)] if label == 0 else ""


def render(part: str, label: int, at: int) -> Levels:
    """Pixels of one picture: uint8 [h, w, 3], 0..255."""
    width, height = _draw_size(_delivery(part, label, at))
    rng = np.random.default_rng([SEED, list(PER_CLASS).index(part), label, at])
    scene = _lens(_scene(rng, height + height % 2, width + width % 2))
    grain = _uniform(rng, *_GRAIN, 1)
    kept = _uniform(rng, *_KEPT, 1)
    ripple = _uniform(rng, *_RIPPLE, 1)
    picture = _grained(rng, scene, grain)
    if label == 0:
        picture = _regrained(rng, picture, _decoded(picture, generator_of(label, at), kept, ripple))
    return _levels(picture)[:height, :width]


def _delivery(part: str, label: int, at: int) -> np.random.Generator:
    """Random numbers for size and format, drawn alike for both classes."""
    return np.random.default_rng([SEED, list(PER_CLASS).index(part), 2 + label, at])


def _draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height, each the smaller of two draws: large pictures are rarer."""
    width, height = rng.integers(SIDES[0], SIDES[1] + 1, (2, 2)).min(0).tolist()
    return width, height


def _picture(part: str, label: int, at: int) -> NativePicture:
    """One picture: PNG for a third of the pictures, else JPEG of several qualities, with or without reduced chroma."""
    rng = _delivery(part, label, at)
    _draw_size(rng)
    jpeg, reduced = rng.integers(3) > 0, int(rng.integers(2))
    quality = int(rng.integers(*_QUALITY))
    stream = io.BytesIO()
    image = Image.fromarray(render(part, label, at))
    if jpeg:
        image.save(stream, "JPEG", quality=quality, subsampling=2 * reduced)
    else:
        image.save(stream, "PNG", compress_level=1)  # 6 takes four times as long and saves a tenth
    name = f"{at:04d}.{'jpg' if jpeg else 'png'}"
    return NativePicture(part, label, generator_of(label, at), name, stream.getvalue())


@lru_cache(1)
def _bank() -> Floats:
    return texture_bank(np.random.default_rng(SEED))


def _uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> Floats:
    return np.float32(low) + np.float32(high - low) * rng.random(shape, dtype=np.float32)


# --- scenes ------------------------------------------------------------------------------------------------------


def _scene(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A dead-leaves scene: float32 [height, width, 3], about 0..255."""
    leaf = _leaf_map(rng, height, width)
    bank = _bank()
    scheme = rng.integers(len(PALETTE), size=4)
    light = _uniform(rng, 0.6, 1.3, _LEAVES + 1, 1) * _uniform(rng, 0.75, 1.1, 1)
    colours = PALETTE[scheme[rng.integers(4, size=_LEAVES + 1)]] * light * np.float32(255)
    amplitude = _uniform(rng, 0.02, 0.30, 1) * _uniform(rng, 0.3, 1.0, _LEAVES + 1)
    place = rng.integers(bank.size, size=_LEAVES + 1).astype(np.int32)  # field, row and column in one number
    side = bank.shape[-1]
    offset = np.arange(height, dtype=np.int32)[:, None] * side + np.arange(width, dtype=np.int32)
    texture = np.take(bank, (np.take(place, leaf) + offset) & (bank.size - 1))  # a power of two
    shade = np.take(amplitude, leaf) * texture + 1
    scene: Floats = np.take(colours, leaf, 0) * shade[..., None]
    return scene


def _leaf_map(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Which leaf is in front at each pixel: uint8 [height, width], 0 the ground. Radii follow r^-3."""
    front = np.zeros((height, width), np.uint8)
    small, large = (np.float32(1 / (radius * radius)) for radius in _RADII)
    radii = 1 / np.sqrt(small - (small - large) * rng.random(_LEAVES, dtype=np.float32))
    radii *= _uniform(rng, 1.0, 4.0, _LEAVES)
    slim = _uniform(rng, 0.4, 1.0, _LEAVES)
    down = np.arange(height, dtype=np.float32) - _uniform(rng, 0, height, _LEAVES, 1)
    across = np.arange(width, dtype=np.float32) - _uniform(rng, 0, width, _LEAVES, 1)
    for index in range(_LEAVES):
        if index % 4:
            inside = across[index] ** 2 * slim[index] < (radii[index] ** 2 - down[index] ** 2)[:, None]
        else:
            inside = (np.abs(down[index]) < radii[index] * slim[index])[:, None]
            inside = inside & (np.abs(across[index]) < radii[index])
        np.maximum(front, inside * np.uint8(index + 1), out=front)  # later leaves hide earlier ones
    return front


def _lens(picture: Floats) -> Floats:
    """The picture blurred by (1, 2, 1)/4 along both axes."""
    for axis in (0, 1):
        before, after = _shifted(picture, axis, 1), _shifted(picture, axis, -1)
        picture = (before + after) * np.float32(0.25) + picture * np.float32(0.5)
    return picture


def _shifted(picture: Floats, axis: int, by: int) -> Floats:
    """The picture moved by one pixel along `axis`, its edge repeated."""
    rows = np.moveaxis(picture, axis, 0)
    moved = [rows[:1], rows[:-1]] if by > 0 else [rows[1:], rows[-1:]]
    return np.moveaxis(np.concatenate(moved), 0, axis) if by else picture


def _grained(rng: np.random.Generator, picture: Floats, deviation: Floats) -> Floats:
    """The picture with white noise of this standard deviation, in levels."""
    noise = rng.random(picture.shape, dtype=np.float32) - np.float32(0.5)
    return picture + noise * (deviation * np.float32(math.sqrt(12)))


# --- decoders ----------------------------------------------------------------------------------------------------


def _decoded(picture: Floats, generator: str, kept: Floats, ripple: Floats) -> Floats:
    """The picture halved and enlarged by an invented decoder, with a share of the lost detail."""
    small = halve(picture[None])[0]
    enlarge = {"transposed": _transposed, "nearest": _nearest, "learned": _learned}[generator]
    enlarged = enlarge(small, ripple)
    return enlarged + kept * (picture - enlarged)


def _transposed(small: Floats, ripple: Floats) -> Floats:
    """The picture enlarged: sample i at place 2 i with gain 1 + ripple, between two the mean with gain 1 - ripple."""
    for axis in (0, 1):
        even = small * (1 + ripple)
        odd = (small + _shifted(small, axis, -1)) * np.float32(0.5) * (1 - ripple)
        small = _interleaved(even, odd, axis)
    return small


def _nearest(small: Floats, _: Floats) -> Floats:
    """Each pixel four times, then a convolution that smooths along both axes."""
    return _lens(np.repeat(np.repeat(small, 2, 0), 2, 1))


def _learned(small: Floats, _: Floats) -> Floats:
    """Four convolutions of 3x3, one for each phase of the enlarged picture."""
    phases = []
    for kernel in _PHASES:
        phase = np.zeros_like(small)
        for row, taps in enumerate(kernel):
            moved = _shifted(small, 0, 1 - row)
            for column, tap in enumerate(taps):
                if tap:
                    phase += _shifted(moved, 1, 1 - column) * tap
        phases.append(phase)
    return _interleaved(_interleaved(phases[0], phases[1], 1), _interleaved(phases[2], phases[3], 1), 0)


def _interleaved(even: Floats, odd: Floats, axis: int) -> Floats:
    """Samples of both in turns along `axis`."""
    shape = list(even.shape)
    shape[axis] *= 2
    return np.stack([even, odd], axis + 1).reshape(shape)


def _regrained(rng: np.random.Generator, before: Floats, after: Floats) -> Floats:
    """`after` with as much white noise as raises its fine detail to that of `before`."""
    lost = max(_detail(before) - _detail(after), 0.0)
    return _grained(rng, after, np.array([math.sqrt(_MADE_UP * lost / 4)], np.float32))


def _detail(picture: Floats) -> float:
    """Mean square of differences between neighbours, both axes added, in squared levels; summed as integers."""
    levels = _levels(picture).astype(np.int32)
    squares = [np.diff(levels, axis=axis) ** 2 for axis in (0, 1)]
    return sum(int(square.sum(dtype=np.int64)) / square.size for square in squares)


def _levels(picture: Floats) -> Levels:
    levels: Levels = np.clip(picture + np.float32(0.5), np.float32(0), np.float32(255)).astype(np.uint8)
    return levels
