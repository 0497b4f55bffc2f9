"""The built-in sample: generated pictures to try the program on without a download. Results say nothing about CIFAKE.

REAL is a dead-leaves scene (Lee, Mumford and Huang 2001, "Occlusion models for natural images") whose leaves carry 1/f
textures, as in Baradad et al. (2021, "Learning to see by looking at noise"). FAKE is another such scene, passed through
the down- and up-sampling that gives generators away by their spectrum (Durall et al. 2020, "Watch your up-convolution";
Frank et al. 2020, "Leveraging frequency analysis for deep fake image recognition"); the strength differs by image.

Only sums, products, roots and random bits go into a pixel, no transforms and no transcendental functions, so that the
sample is the same on every machine.

Difficulty: validation accuracy in % on 400 of the 2,000 train images, training seeds 0 to 3, after 1/4, 1, 2 and 3
epochs of AdamW with lr 1e-3 falling to zero by a cosine, batch 32:
  Cnn(), random flips:                        52 to 56,  71 to 77,  85 to 90,  88 to 93
  Head(640, 64) on a ResNet50 of random       69 to 73,  83 to 85,  86 to 88,  87 to 88
    weights (manual_seed(0)) at 32 px: mean and standard deviation of stem (after max pooling) and layer1
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cifake_ray.data.datasets.card import Card

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

VERSION = 1  # part of the cache key: raise the number when any pixel changes
PER_CLASS = {"train": 1000, "test": 250}
SIZE = 32  # pixels of a finished image
_CANVAS = 64  # pixels of a rendered scene, before antialiasing
_LEAVES = 32  # covers the canvas about twice with these radii
_RADII = (4.0, 44.0)  # smallest and largest leaf, in canvas pixels
_BANK = 256  # side of a texture field; a power of two, so that it tiles
_ALPHAS = (0.7, 1.0, 1.3, 1.6)  # amplitude spectra 1/f^alpha; photographs lie around 1
_KEPT = (0.0, 0.7)  # sets the difficulty, with _RIPPLE; measured in the docstring above
_RIPPLE = (0.0, 0.12)
_BATCH = 25  # scenes rendered at a time: their arrays stay in the processor's cache
# What the outdoors is made of, RGB 0..1: sky, water, leaf, grass, bark, soil, sand, stone, snow, brick, night.
PALETTE = np.array(
    [
        [0.55, 0.71, 0.88], [0.25, 0.42, 0.55], [0.18, 0.33, 0.13], [0.45, 0.55, 0.22], [0.36, 0.27, 0.19],
        [0.29, 0.21, 0.15], [0.80, 0.70, 0.52], [0.52, 0.51, 0.49], [0.90, 0.91, 0.92], [0.62, 0.28, 0.21],
        [0.08, 0.09, 0.13],
    ],
    dtype=np.float32,
)  # fmt: skip


CARD = Card(
    name="sample",
    title="synthetic sample",
    images={part: 2 * count for part, count in PER_CLASS.items()},
    note="synthetic sample; results say nothing about CIFAKE",
    generated=True,
)


@dataclass(frozen=True)
class Chain:
    """Strengths of the resampling of a batch of FAKE images; each float32 [n, 1, 1, 1]."""

    kept: Floats  # share of the fine detail that survives
    ripple: Floats  # uneven gain of the upsampling kernel's even and odd taps
    mix: Floats  # share of each channel that is replaced by the mean of all three


def build_sample(progress: Callable[[int, int], None] | None = None) -> dict[str, np.ndarray]:
    """`train_images`, `train_labels`, `train_names` and the same of test, in canonical order; always the same."""
    arrays: dict[str, np.ndarray] = {}
    done, total = 0, 2 * sum(PER_CLASS.values())
    generated: dict[str, list[npt.NDArray[np.uint8]]] = {part: [] for part in PER_CLASS}
    for part, _, images in generate_sample():
        generated[part].append(images)
        done += len(images)
        if progress:
            progress(done, total)
    for part, count in PER_CLASS.items():
        arrays[f"{part}_images"] = np.concatenate(generated[part])
        arrays[f"{part}_labels"] = np.repeat(np.array([0, 1], np.uint8), count)
        arrays[f"{part}_names"] = np.array([f"{i:04d}.png" for _ in range(2) for i in range(count)])
    return arrays


def generate_sample(seed: int = 0) -> Iterator[tuple[str, int, npt.NDArray[np.uint8]]]:
    """Yield (part, label, uint8 [n, 32, 32, 3]) in canonical order: FAKE before REAL in each part."""
    rng = np.random.default_rng(seed)
    bank = texture_bank(rng)
    for part, count in PER_CLASS.items():
        for label in (0, 1):
            yield part, label, np.concatenate([_batch(rng, bank, label, _BATCH) for _ in range(count // _BATCH)])


def _batch(rng: np.random.Generator, bank: Floats, label: int, n: int) -> npt.NDArray[np.uint8]:
    images = halve(_render(rng, bank, n))
    if label == 0:
        images = resample(images, _draw_chain(rng, n))
    pixels: npt.NDArray[np.uint8] = np.clip(images * 255 + 0.5, 0, 255).astype(np.uint8)
    return pixels


def _uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> Floats:
    return low + (high - low) * rng.random(shape, dtype=np.float32)


def texture_bank(rng: np.random.Generator) -> Floats:
    """Noise fields with amplitude spectra 1/f^alpha: float32 [len(_ALPHAS), _BANK, _BANK], mean 0, about unit variance.

    Octaves of interpolated white noise stand in for the Fourier transform, because their sums are the same to the last
    bit on every processor. In two dimensions an octave of 1/f^alpha has an amplitude of f^(1 - alpha).
    """
    octaves = [_octave(rng, 1 << level) for level in range(1, 9)]
    fields = []
    for alpha in _ALPHAS:
        gains = [2.0 ** (level * (1 - alpha)) for level in range(len(octaves))]
        field = sum(np.float32(gain) * octave for gain, octave in zip(gains, octaves, strict=True))
        fields.append(field / np.float32(sum(gain**2 for gain in gains) ** 0.5))
    return np.stack(fields)


def _octave(rng: np.random.Generator, cells: int) -> Floats:
    """White noise on `cells` x `cells`, interpolated linearly to [_BANK, _BANK], periodic, about unit variance."""
    grid = _uniform(rng, -1.0, 1.0, cells, cells) * np.float32(3**0.5 * (1.0 if cells == _BANK else 1.5))
    at = np.arange(_BANK, dtype=np.float32) * np.float32(cells / _BANK)
    low = at.astype(np.int64)
    share = at - low.astype(np.float32)
    high = (low + 1) % cells
    rows = grid[low] * (1 - share)[:, None] + grid[high] * share[:, None]
    field: Floats = rows[:, low] * (1 - share) + rows[:, high] * share
    return field


def _render(rng: np.random.Generator, bank: Floats, n: int) -> Floats:
    """`n` dead-leaves scenes: float32 [n, _CANVAS, _CANVAS, 3], about 0..1."""
    leaf = _leaf_map(rng, n).reshape(n, -1)
    colours = _leaf_colours(rng, n)
    amplitude = _uniform(rng, 0.02, 0.30, n, 1) * _uniform(rng, 0.3, 1.0, n, _LEAVES + 1)
    texture = np.take_along_axis(amplitude, leaf, 1) * _leaf_textures(rng, bank, leaf)
    scenes = np.empty((n, _CANVAS * _CANVAS, 3), np.float32)
    for channel in range(3):
        scenes[..., channel] = np.take_along_axis(colours[..., channel], leaf, 1) * (1 + texture)
    return scenes.reshape(n, _CANVAS, _CANVAS, 3)


def _leaf_map(rng: np.random.Generator, n: int) -> Ints:
    """Which leaf is in front at each pixel: int64 [n, _CANVAS, _CANVAS], 0 the ground, later leaves hide earlier ones.

    Radii follow r^-3, the scale-invariant law of Lee, Mumford and Huang (2001). Every fourth leaf is a rectangle.
    """
    front = np.zeros((n, _CANVAS, _CANVAS), np.uint8)
    small, large = (np.float32(radius**-2.0) for radius in _RADII)
    radii = 1 / np.sqrt(small - (small - large) * rng.random((_LEAVES, n, 1), dtype=np.float32))
    centres = _uniform(rng, -4, _CANVAS + 4, _LEAVES, 2, n, 1)
    turns = _uniform(rng, -1, 1, _LEAVES, 2, n, 1)
    turns /= np.sqrt(turns[:, :1] ** 2 + turns[:, 1:] ** 2 + np.float32(1e-6))
    slim = _uniform(rng, 0.35, 1.0, _LEAVES, n, 1)
    for index in range(_LEAVES):
        across, down = np.arange(_CANVAS, dtype=np.float32) - centres[index]
        if index % 4:
            inside = (across**2)[:, None, :] < (radii[index] ** 2 - down**2)[:, :, None]
        else:
            cos, sin = turns[index]
            inside = np.abs((across * cos)[:, None, :] + (down * sin)[:, :, None]) < radii[index, :, None]
            inside &= np.abs((across * sin)[:, None, :] - (down * cos)[:, :, None]) < (radii * slim)[index, :, None]
        np.maximum(front, inside * np.uint8(index + 1), out=front)  # ten times as fast as writing through a mask
    return front.astype(np.int64)


def _leaf_colours(rng: np.random.Generator, n: int) -> Floats:
    """Colours of the leaves, four varied colours of the palette a scene: float32 [n, leaves and ground, 3]."""
    scheme = rng.integers(len(PALETTE), size=(n, 4))
    chosen = np.take_along_axis(scheme, rng.integers(4, size=(n, _LEAVES + 1)), 1)
    light = _uniform(rng, 0.6, 1.3, n, _LEAVES + 1, 1) * _uniform(rng, 0.75, 1.1, n, 1, 1)
    colours: Floats = PALETTE[chosen] * light + _uniform(rng, -0.05, 0.05, n, _LEAVES + 1, 3)
    return colours


def _leaf_textures(rng: np.random.Generator, bank: Floats, leaf: Ints) -> Floats:
    """Textures of the leaves, each leaf from its own place of one field of the bank: float32 [n, pixels]."""
    n = len(leaf)
    place = rng.integers(bank.size, size=(n, _LEAVES + 1))  # field, row and column in one number
    pixel = np.arange(_CANVAS * _CANVAS)
    offset = pixel // _CANVAS * _BANK + pixel % _CANVAS
    textures: Floats = bank.reshape(-1)[(np.take_along_axis(place, leaf, 1) + offset) % bank.size]
    return textures


def halve(images: Floats) -> Floats:
    """[n, h, w, c] -> [n, h/2, w/2, c], antialiased by the kernel (1, 3, 3, 1)/8 along both axes."""
    padded = np.pad(images, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="edge")
    rows = (padded[:, 0:-2:2] + padded[:, 3::2]) * 0.125 + (padded[:, 1:-2:2] + padded[:, 2:-1:2]) * 0.375
    padded = np.pad(rows, ((0, 0), (0, 0), (1, 1), (0, 0)), mode="edge")
    halved: Floats = (padded[:, :, 0:-2:2] + padded[:, :, 3::2]) * 0.125 + (
        padded[:, :, 1:-2:2] + padded[:, :, 2:-1:2]
    ) * 0.375
    return halved


def _draw_chain(rng: np.random.Generator, n: int) -> Chain:
    """A strength for each image, so that some are easy and some are hard."""
    return Chain(
        kept=_uniform(rng, *_KEPT, n, 1, 1, 1),
        ripple=_uniform(rng, *_RIPPLE, n, 1, 1, 1),
        mix=_uniform(rng, 0.0, 0.1, n, 1, 1, 1),
    )


def resample(images: Floats, chain: Chain) -> Floats:
    """The images with the fine texture of a generator's decoder: [n, h, w, 3] -> the same shape.

    Half the detail is lost on the way down; on the way up zeros are put between the samples and filtered by the taps of
    a stride-2 transposed convolution, which leaves a spectral trace at the Nyquist frequency (Durall et al. 2020).
    """
    rows = _upsample(halve(images), chain.ripple, axis=1)
    resampled = _upsample(rows, chain.ripple, axis=2)
    resampled += chain.kept * (images - resampled)
    grey = (resampled[..., :1] + resampled[..., 1:2] + resampled[..., 2:]) * np.float32(1 / 3)
    mixed: Floats = resampled + chain.mix * (grey - resampled)
    return mixed


def _upsample(images: Floats, ripple: Floats, axis: int) -> Floats:
    """Twice the length along `axis`: sample i goes to place 2 i with gain 1 + ripple, between two lies their mean."""
    following = np.concatenate([np.take(images, range(1, images.shape[axis]), axis), np.take(images, [-1], axis)], axis)
    even, odd = images * (1 + ripple), (images + following) * 0.5 * (1 - ripple)
    shape = list(images.shape)
    shape[axis] *= 2
    return np.stack([even, odd], axis + 1).reshape(shape)
