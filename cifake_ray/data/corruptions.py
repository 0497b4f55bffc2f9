"""How test images are degraded: JPEG again, blur, noise, down and up again. Deterministic by position.

The kinds are those of Wang et al. 2020, "CNN-generated images are surprisingly easy to spot… for now" (JPEG and blur),
and of Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to common corruptions and perturbations"
(noise, pixelation), with strengths for 32 px: the published ones are for 224.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d

_SIDE = 32  # pixels a side of the images that the strengths are for
_SEED = 0


@dataclass(frozen=True)
class Corruption:
    """`apply`: uint8 [n, h, w, 3], 0..255, and the position of the first (seeds noise) -> the same shape and type."""

    kind: str
    strength: float
    name: str
    apply: Callable[[np.ndarray, int], np.ndarray]

    def __call__(self, images: np.ndarray, start: int = 0) -> np.ndarray:
        """uint8 [n, h, w, 3], or tiles [n, t, h, w, 3] -> uint8 of that shape; the input is not changed.

        start: position of the first among all images.
        """
        return self.apply(images.reshape(-1, *images.shape[-3:]), start).reshape(images.shape)


def jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    """Encoded by Pillow (libjpeg-turbo, baseline, 4:2:0 chroma as its default is) at `quality` 1..95, and decoded."""
    return np.stack([_through_jpeg(image, quality) for image in images])


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def blur(images: np.ndarray, sigma: float) -> np.ndarray:
    """Convolved with a sampled Gaussian of `sigma` pixels, cut at 4 sigma, borders mirrored; rounded."""
    values = images.astype(np.float32)
    for axis in (1, 2):
        values = gaussian_filter1d(values, sigma, axis=axis, mode="mirror", truncate=4.0)
    return _to_uint8(values)


def noise(images: np.ndarray, deviation: float, start: int) -> np.ndarray:
    """Independent Gaussian noise on every value, `deviation` on the scale 0..1; clipped and rounded."""
    drawn = np.random.default_rng((_SEED, start)).standard_normal(images.shape, dtype=np.float32)
    return _to_uint8(images + 255 * np.float32(deviation) * drawn)


def rescale(images: np.ndarray, size: int) -> np.ndarray:
    """Shrunk to `size` x `size` pixels and enlarged again, both by Pillow's bicubic (antialiased when it shrinks)."""
    return np.stack([_through_size(image, size) for image in images])


def _through_size(image: np.ndarray, size: int) -> np.ndarray:
    height, width = image.shape[:2]
    small = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def _jpeg(quality: int) -> Corruption:
    return Corruption("JPEG", quality, f"JPEG quality {quality}", lambda images, _: jpeg(images, quality))


def _blur(sigma: float) -> Corruption:
    return Corruption("blur", sigma, f"blur, sigma {sigma:g} px", lambda images, _: blur(images, sigma))


def _noise(deviation: float) -> Corruption:
    name = f"noise, deviation {deviation:g}"
    return Corruption("noise", deviation, name, lambda images, start: noise(images, deviation, start))


def _rescale(size: int) -> Corruption:
    return Corruption("rescaling", size, f"down to {size} px and up", lambda images, _: rescale(images, size))


def corruptions(side: int) -> tuple[Corruption, ...]:
    """Every degradation of squares of so many pixels.

    Blur and rescaling (down to three quarters and to half of the size, and up again) are of the same part of the
    square whatever its size; JPEG quality and noise of each value have no size.
    """
    return (
        *map(_jpeg, (90, 75, 60, 40)),
        *(_blur(sigma * side / _SIDE) for sigma in (0.4, 0.6, 1.0)),
        *map(_noise, (0.02, 0.05, 0.10)),
        *(_rescale(max(side * size // _SIDE, 1)) for size in (24, 16)),
    )


def light_corruptions(side: int) -> tuple[Corruption, ...]:
    """The degradations behind `search.metric: val_degraded`, of squares of so many pixels: what delivery does lightly.

    JPEG at quality 75, a blur of 0.6 pixels, down to three quarters of the side and up again. No noise, which delivery
    does not add. docs/reference.md names the same three.
    """
    return _jpeg(75), _blur(0.6), _rescale(max(side * 3 // 4, 1))
