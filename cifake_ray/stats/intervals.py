"""95 % intervals of proportions, of their differences, and of paired differences. Accuracies and limits are 0..1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_IN_GROUP = 20  # pictures of a group, below which its count and interval are shown and no value
Z95 = 1.959963984540054  # 97.5 % point of the standard normal distribution


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval, all 0..1."""

    value: float
    low: float
    high: float


def wilson(accuracy: float, images: int | None) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion measured on `images`; (nan, nan) when either is unknown.

    E. B. Wilson (1927), J. Am. Stat. Assoc. 22, 209-212. `accuracy` may be a mean over seeds: the interval then
    covers the choice of images, not the choice of seeds.
    """
    if not images or math.isnan(accuracy):
        return math.nan, math.nan
    z2 = Z95**2 / images
    centre = (accuracy + z2 / 2) / (1 + z2)
    half = Z95 / (1 + z2) * math.sqrt(accuracy * (1 - accuracy) / images + z2 / (4 * images))
    return max(0.0, centre - half), min(1.0, centre + half)


def difference_interval(first: float, images_1: int | None, second: float, images_2: int | None) -> tuple[float, float]:
    """95 % interval of `first - second`, two accuracies on different images.

    R. G. Newcombe (1998), Statistics in Medicine 17, 873-890, method 10: Wilson intervals combined in squares.
    """
    low_1, high_1 = wilson(first, images_1)
    low_2, high_2 = wilson(second, images_2)
    gap = first - second
    return gap - math.hypot(first - low_1, high_2 - second), gap + math.hypot(high_1 - first, second - low_2)


def paired_interval(differences: np.ndarray) -> Interval:
    """95 % interval of the mean of differences [seeds, images], each -1, 0 or 1.

    The variance over images and that over seeds are added; t distribution, degrees of freedom by Satterthwaite (1946),
    Biometrics Bulletin 2, 110-114. One seed alone gives an interval over images only.
    """

    seeds, images = differences.shape
    mean = float(differences.mean())
    over_images = float(differences.mean(0).var(ddof=1)) / images if images > 1 else 0.0
    over_seeds = float(differences.mean(1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    variance = over_images + over_seeds
    freedom = variance**2 * (seeds - 1) / over_seeds**2 if over_seeds > 0 else math.inf
    half = _t_point(freedom) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half)


def _t_point(freedom: float) -> float:
    """97.5 % point of Student's t distribution."""
    from scipy.special import stdtrit  # here, because `tune` needs the other intervals alone before its first line

    return float(stdtrit(freedom, 0.975)) if math.isfinite(freedom) else Z95


def matched_difference(only_first: int, only_second: int, images: int) -> Interval:
    """Difference of two accuracies on the same `images`, of which so many only one of the two models judged rightly.

    Agresti and Min (2005), Statistics in Medicine 24, 729-740: half an image is added to each cell.
    """
    total = images + 2
    shift = (only_first - only_second) / total
    half = Z95 * math.sqrt(max(0.0, (only_first + only_second + 1) / total - shift**2) / total)
    return Interval((only_first - only_second) / max(images, 1), shift - half, shift + half)


def balanced_interval(right: Sequence[float], images: Sequence[int]) -> Interval:
    """Mean of the shares judged rightly in each class, with its 95 % interval. right, images: counts by class.

    Zou and Donner (2008), Statistics in Medicine 27, 1693-1702 (MOVER): Wilson intervals combined in squares.
    """
    shares = [one / of for one, of in zip(right, images, strict=True)]
    limits = [wilson(share, of) for share, of in zip(shares, images, strict=True)]
    below = math.hypot(*(share - low for share, (low, _) in zip(shares, limits, strict=True))) / len(shares)
    above = math.hypot(*(high - share for share, (_, high) in zip(shares, limits, strict=True))) / len(shares)
    mean = sum(shares) / len(shares)
    return Interval(mean, mean - below, mean + above)
