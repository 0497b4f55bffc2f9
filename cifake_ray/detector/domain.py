"""Whether a picture is like the validation images of a model: one score, from properties that need no network.

Each property is the distance from the validation images' median, in units of the distance of their outermost 0.5 % on
that side (properties are skewed). A picture's score is the largest of its distances. Above the 99th percentile of the
validation images' scores the picture is outside.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cifake_ray.runs.records import SCHEMA, Domain, DomainCounts, Property

PERCENTILE = 99.0
NEEDED = math.ceil(100 / (100 - PERCENTILE))  # validation images: with fewer, none lies above the percentile
_BATCH, _SIDE = 1024, 32  # images of this side whose properties are computed at once
_TAILS = (0.5, 50.0, 99.5)  # percentiles
_LEAST = 0.02  # unit of a property that is the same for all images; sizes are in octaves: 32 and 33 px differ by 0.044
_TEXTURE = ("brightness", "contrast", "colour", "fine detail", "detail at two pixels", "flat area")
_SIZES = ("width", "height")


@dataclass(frozen=True)
class Judged:
    """`domain`: inside, outside or unknown (no statistics, or of too few images); `score`: None if unknown.

    reason: why a picture is outside, or why a model with statistics cannot judge the picture; else None.
    """

    domain: str
    score: float | None = None
    reason: str | None = None


def properties(images: np.ndarray) -> np.ndarray:
    """float64 [n, 6], the columns of _TEXTURE, of images uint8 [n, s, s, 3], 0..255.

    Of tiles [n, t, s, s, 3] the first counts. Large images go in smaller batches: 36 bytes a pixel in memory.
    """
    seen = images[:, 0] if images.ndim == 5 else images
    size = max(1, _BATCH * _SIDE**2 // seen[0].shape[0] ** 2) if len(seen) else 1
    return np.concatenate([_textures(seen[start : start + size]) for start in range(0, max(len(seen), 1), size)])


def _textures(images: np.ndarray) -> np.ndarray:
    pixels = images.astype(np.float32) / 255
    grey = pixels.mean(axis=3)
    even = grey[:, : grey.shape[1] // 2 * 2, : grey.shape[2] // 2 * 2]
    coarse = (even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4
    steps = np.abs(np.diff(grey, axis=2))
    columns = (
        grey.mean(axis=(1, 2)),
        grey.std(axis=(1, 2)),
        (pixels.max(axis=3) - pixels.min(axis=3)).mean(axis=(1, 2)),
        _octaves(_laplacian(grey)),
        _octaves(_laplacian(coarse)),
        (steps < 1 / 255).mean(axis=(1, 2)) if steps.shape[2] else np.ones(len(grey)),
    )
    return np.stack(columns, axis=1).astype(np.float64)


def _laplacian(grey: np.ndarray) -> np.ndarray:
    """Mean absolute value [n] of the four-neighbour Laplacian of grey images [n, h, w]; 0 without an inside."""
    if min(grey.shape[1:]) < 3:
        return np.zeros(len(grey), grey.dtype)
    inner = 4 * grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return np.asarray(np.abs(inner - around).mean(axis=(1, 2)))


def _octaves(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.log2(np.maximum(values, 1 / 4096)))


def describe_domain(values: np.ndarray, size: tuple[int, int] | None) -> Domain:
    """The statistics of the validation images for model.json: median and units of each property, the score's threshold.

    values: `properties` of the images as the model takes them. size: the width and height in pixels of all images as
    delivered; None when sizes differ, and the size then does not count.
    """
    names = list(_TEXTURE)
    if size is not None:
        values = np.hstack([values, np.tile(np.log2(size), (len(values), 1))])
        names += _SIZES
    low, median, high = np.percentile(values, _TAILS, axis=0)
    below, above = np.maximum(median - low, _LEAST), np.maximum(high - median, _LEAST)
    stated = [
        Property(name=name, median=float(m), below=float(b), above=float(a))
        for name, m, b, a in zip(names, median, below, above, strict=True)
    ]
    distances = np.stack([_distance(values[:, at], one) for at, one in enumerate(stated)])
    threshold = float(np.percentile(distances.max(axis=0), PERCENTILE))
    return Domain(schema_version=SCHEMA, images=len(values), properties=stated, threshold=threshold)


def judge_domain(domain: Domain | None, images: np.ndarray, sizes: Sequence[tuple[int, int]]) -> list[Judged]:
    """Judge each picture against the model's validation images.

    images: squares, or tiles, as the model takes them; sizes: (width, height) in pixels as delivered.
    """
    if domain is None:
        return [Judged("unknown") for _ in sizes]
    if domain.images < NEEDED:
        return [Judged("unknown", reason=_too_few(domain.images)) for _ in sizes]
    values = np.hstack([properties(images), np.log2(np.asarray(sizes, np.float64).reshape(-1, 2))])
    columns = {name: values[:, at] for at, name in enumerate((*_TEXTURE, *_SIZES))}
    scores = np.stack([_distance(columns[one.name], one) for one in domain.properties], axis=1)
    return [_judged(domain, row, sizes[at], {name: column[at] for name, column in columns.items()})
            for at, row in enumerate(scores)]  # fmt: skip


def count_domain(answers: Iterable[Judged]) -> DomainCounts:
    """How many pictures are inside, outside and unknown, and the most frequent reason."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for judged in answers:
        counts[judged.domain] += 1
        reasons.update([judged.reason] if judged.reason else [])
    return DomainCounts(
        inside=counts["inside"],
        outside=counts["outside"],
        unknown=counts["unknown"],
        reason=min(reasons, key=lambda reason: (-reasons[reason], reason)) if reasons else None,
    )


def _too_few(images: int) -> str:
    return f"the model has {images} validation images, and {NEEDED} are needed to tell which pictures are unlike them"


def _distance(values: np.ndarray, stated: Property) -> np.ndarray:
    """Distances from the median, in the unit of each value's side: float [n], 0 or more."""
    apart = values - stated.median
    return np.asarray(np.where(apart > 0, apart / stated.above, -apart / stated.below))


def _judged(domain: Domain, scores: np.ndarray, size: tuple[int, int], values: Mapping[str, float]) -> Judged:
    score = float(scores.max())
    if score <= domain.threshold:
        return Judged("inside", round(score, 3))
    most = domain.properties[int(scores.argmax())]
    return Judged("outside", round(score, 3), _reason(most, size, values[most.name]))


def _reason(most: Property, size: tuple[int, int], value: float) -> str:
    name = most.name
    if name in _SIZES:
        return f"{size[0]} x {size[1]} px; the model knows images of {2**most.median:.0f} px"
    return f"{'more' if value > most.median else 'less'} {name} than the images that the model knows"
