"""Which images of the train part train and which validate; and which test images are copies of train images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cifake_ray.data.datasets.card import Card, Group
from cifake_ray.data.images import ImageSet, Part
from cifake_ray.data.stratify import Indices, copies_of, quotas, strata_of
from cifake_ray.errors import InputError, nearest

_SUBJECT = "subject"  # the group that a plain list in data.leave_out means


@dataclass(frozen=True)
class Split:
    """Sorted positions in a part: int64 [n]. Together they are the part without what is left out, each image once."""

    train: Indices
    validation: Indices


def split_train(part: Part, val_fraction: float, seed: int, leave_out: Sequence[str] = ()) -> Split:
    """Split `part` into train and validation, stratified by label and groups; copies stay on one side.

    The same part, fraction and seed give the same split, and images of subjects to `leave_out` are then taken from both
    sides. Raises InputError when a side would lack a class.
    """
    first = copies_of(part.table.digests)
    if (different := len(np.unique(first))) < 4 <= len(part):
        raise InputError(f"the {len(part):,} train images are {different} different pictures; give more of them")
    validating = _choose_validation(first, strata_of(part.labels, part.table.groups), val_fraction, seed)
    kept = ~of_subjects(part, leave_out)
    if leave_out and kept.all():
        raise InputError(f"data.leave_out: no train image is of {' or '.join(leave_out)} by its name; remove the key")
    split = Split(np.flatnonzero(~validating & kept), np.flatnonzero(validating & kept))
    for side in (split.train, split.validation):
        if len(np.unique(part.labels[side])) < 2:
            raise InputError(
                f"data.val_fraction: {val_fraction:g} of {len(part):,} train images leaves a side of the split without "
                "one of the classes; give more images or a fraction nearer to 0.5"
            )
    return split


def of_subjects(part: Part, subjects: Sequence[str]) -> np.ndarray:
    """Which images of the part show one of these subjects: bool [n].

    Raises InputError (`data.leave_out`) when nothing tells the subjects of the part's images, or knows one of these.
    """
    if not subjects:
        return np.zeros(len(part), dtype=bool)
    group = check_subjects(part.card, subjects)
    codes = part.table.groups.get(_SUBJECT)
    if codes is None:
        raise InputError(f"data.leave_out: the names of the {len(part):,} images tell no subject; remove the key")
    return np.isin(codes, [group.values.index(subject) for subject in subjects])


def check_subjects(card: Card, subjects: Sequence[str]) -> Group:
    """The card's subjects. Raises InputError (`data.leave_out`) when the card has none, or not these."""
    group = card.groups.get(_SUBJECT)
    if group is None:
        raise InputError("data.leave_out: the subjects of these images are not known; remove the key")
    for subject in subjects:
        if subject not in group.values:
            raise InputError(f"data.leave_out: no subject {subject} in {card.title}{nearest(subject, group.values)}")
    return group


def _choose_validation(first: Indices, strata: Indices, fraction: float, seed: int) -> np.ndarray:
    """Which images validate: bool [n]. Copies (same `first`) are drawn as one, with the stratum of the first of them.

    In each stratum the units come in random order; one validates if the middle of its place in the running count lies
    below the stratum's quota.
    """
    weights = np.bincount(first, minlength=len(first))
    units = np.flatnonzero(weights)
    _, stratum = np.unique(strata[units], return_inverse=True)
    order = np.lexsort((np.random.default_rng(seed).random(len(first))[units], stratum))
    weights, stratum = weights[units][order], stratum[order]
    sizes = np.bincount(stratum, weights=weights).astype(np.int64)
    quota = quotas(sizes, round(fraction * len(first)))
    middle = np.cumsum(weights) - weights / 2 - (np.cumsum(sizes) - sizes)[stratum]
    validating = np.zeros(len(first), dtype=bool)
    validating[units[order]] = middle < quota[stratum]
    return validating[first]


def train_duplicates(images: ImageSet) -> np.ndarray:
    """Which test images have exactly the pixels of some train image: bool [n_test]."""
    return copies_among(images.test, images.train)


def copies_among(part: Part, others: Part) -> np.ndarray:
    """Which images of `part` have exactly the pixels of some image of `others`: bool [n]."""
    return np.isin(part.table.digests, others.table.digests)
