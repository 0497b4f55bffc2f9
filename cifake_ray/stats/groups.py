"""Scores of the images of one group, such as those of one generator, beside all images of the other class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cifake_ray.stats.classification import auc, average_precision
from cifake_ray.stats.intervals import FEWEST_IN_GROUP, Interval, balanced_interval, wilson


@dataclass(frozen=True)
class GroupScores:
    """One group. right: share of its images that is judged rightly, 0..1, with the 95 % interval on `images`.

    balanced: mean of `right` and of the share of the other class, None where there are no images of that class, and so
    are AUC and average precision (positive class FAKE). Of fewer than 20 images all three are None.
    """

    images: int
    right: Interval
    balanced: Interval | None = None
    auc: float | None = None
    average_precision: float | None = None

    @property
    def large(self) -> bool:
        """Whether the group has images enough for a value beside its interval."""
        return self.images >= FEWEST_IN_GROUP


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (NaN of one value) and minimum over groups."""

    mean: float
    spread: float
    minimum: float


def group_scores(labels: np.ndarray, p_fake: Sequence[np.ndarray], member: np.ndarray) -> GroupScores:
    """Scores of the images of a group, mean over seeds; a group of one class is compared with the whole other class.

    labels: uint8 [n], 0 FAKE, 1 REAL; p_fake: one float [n] a seed; member: bool [n], with an image.
    """
    right = np.mean([(seed > 0.5) == (labels == 0) for seed in p_fake], axis=0)
    images, share = int(member.sum()), float(right[member].mean())
    own = Interval(share, *wilson(share, images))
    beside = member.copy()
    for label in (0, 1):
        if not (labels[member] == label).any():
            beside |= labels == label
    classes = [beside & (labels == label) for label in (0, 1)]
    if images < FEWEST_IN_GROUP or not all(rows.any() for rows in classes):
        return GroupScores(images, own)
    balanced = balanced_interval([float(right[rows].sum()) for rows in classes], [int(rows.sum()) for rows in classes])
    some = labels[beside]
    found = [(auc(some, seed[beside]), average_precision(some, seed[beside])) for seed in p_fake]
    area, precision = np.mean(found, axis=0).tolist()
    return GroupScores(images, own, balanced, area, precision)


def scores_by_group(
    labels: np.ndarray, p_fake: Sequence[np.ndarray], values: np.ndarray
) -> dict[str, GroupScores]:  # fmt: skip
    """`group_scores` of each value of a group column, sorted by name; values: unicode [n], "" of images of no group."""
    named = np.unique(values[values != ""]).tolist()
    return {name: group_scores(labels, p_fake, values == name) for name in named}


def worst_group(labels: np.ndarray, p_fake: np.ndarray, groups: np.ndarray) -> float:
    """Smallest balanced accuracy of the FAKE images of one group against all REAL images, 0..1.

    groups: int [n], 0, 1, … of FAKE images, -1 of all others. After the worst-group accuracy of Sagawa et al. (2020),
    "Distributionally robust neural networks for group shifts", ICLR.
    """
    right = (p_fake > 0.5) == (labels == 0)
    shares = [right[groups == number].mean() for number in range(int(groups.max()) + 1)]
    return float((min(shares) + right[labels == 1].mean()) / 2)


def summary(values: Sequence[float]) -> Summary:
    """Over the values of groups; NaN without a value."""
    if not values:
        return Summary(math.nan, math.nan, math.nan)
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Summary(float(np.mean(values)), spread, float(min(values)))
