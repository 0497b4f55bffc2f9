"""Which images of the train part train and which validate; and which test images are copies of train images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cifake_ray.data.datasets.card import Card, Group
from cifake_ray.data.images import ImageSet, Part
from cifake_ray.data.stratify import Indices, choose_fraction, copies_of, pooled, strata_of
from cifake_ray.errors import InputError, nearest
from cifake_ray.experiment import Data

_SHOWN_BY_FINGERPRINT = {"source", "labels", "parts", "card"}  # keys of `data`; `store_side` is for training alone
_SUBJECT = "subject"  # the group that a plain list in data.leave_out refers to


@dataclass(frozen=True)
class Split:
    """Sorted positions in a part: int64 [n]. Both sides together are the part without excluded images, each once.

    dropped: number of train images excluded as copies of images of the source's own validation part.
    """

    train: Indices
    validation: Indices
    dropped: int = 0


def split_train(part: Part, val_fraction: float, seed: int, leave_out: Sequence[str] = ()) -> Split:
    """Split `part` into train and validation, stratified by label and groups; copies stay on one side.

    The source's own validation part is used unchanged, and copies of its images are removed from train. The same part,
    fraction and seed yield the same split. Images of subjects in `leave_out` are then removed from both sides. Raises
    InputError when a side would lack a class.
    """
    first = copies_of(part.table.digests)
    if (different := len(np.unique(first))) < 4 <= len(part):
        raise InputError(f"the {len(part):,} train images are {different} different pictures", "give more of them")
    given = part.table.given_validation
    validating = given if given.any() else _draw_validation(part, first, val_fraction, seed)
    copies = np.isin(part.table.digests, part.table.digests[given]) & ~given
    kept = ~of_subjects(part, leave_out)
    if leave_out and kept.all():
        raise InputError(f"data.leave_out: no train image is of {' or '.join(leave_out)} by its name", "remove the key")
    train = ~validating & ~copies & kept
    split = Split(np.flatnonzero(train), np.flatnonzero(validating & kept), int(copies.sum()))
    for side in (split.train, split.validation):
        if len(np.unique(part.labels[side])) < 2:
            raise _one_class(part, val_fraction, bool(given.any()))
    return split


def _draw_validation(part: Part, first: Indices, fraction: float, seed: int) -> np.ndarray:
    strata = pooled(strata_of(part.labels, part.table.groups), part.labels, fraction)
    return choose_fraction(first, strata, fraction, np.random.default_rng(seed))


def _one_class(part: Part, fraction: float, given: bool) -> InputError:
    if given:
        return InputError(
            "the validation part, or the train part without copies of its images, lacks one of the classes",
            "give more images, or remove the validation part",
        )
    return InputError(
        f"data.val_fraction: {fraction:g} of {len(part):,} train images leaves a side of the split without one of the "
        "classes",
        "give more images or a fraction nearer to 0.5",
    )


def of_subjects(part: Part, subjects: Sequence[str]) -> np.ndarray:
    """Which images of the part show one of these subjects: bool [n].

    Raises InputError (`data.leave_out`) when the subjects of the part's images, or one of `subjects`, are unknown.
    """
    if not subjects:
        return np.zeros(len(part), dtype=bool)
    check_subjects(part.card, subjects)
    codes = part.table.groups.get(_SUBJECT)
    if codes is None:
        raise InputError(f"data.leave_out: the names of the {len(part):,} images contain no subject", "remove the key")
    values = part.table.group_values(_SUBJECT)
    return np.isin(codes, [values.index(subject) for subject in subjects if subject in values])


def check_subjects(card: Card, subjects: Sequence[str]) -> Group:
    """The card's subjects. Raises InputError (`data.leave_out`) when the card has none, or lacks one of these."""
    group = card.groups.get(_SUBJECT)
    if group is None:
        raise InputError("data.leave_out: the subjects of these images are not known", "remove the key")
    for subject in subjects:
        if subject not in group.values:
            raise InputError(f"data.leave_out: no subject {subject} in {card.title}", nearest(subject, group.values))
    return group


def train_duplicates(images: ImageSet) -> np.ndarray:
    """Which test images have exactly the pixels of some train image: bool [n_test]."""
    return copies_among(images.test, images.train)


def copies_among(part: Part, others: Part) -> np.ndarray:
    """Which images of `part` have exactly the pixels of some image of `others`: bool [n]."""
    return np.isin(part.table.digests, others.table.digests)


def differing_split(one: Data, other: Data) -> list[str]:
    """The keys of `data` by which two studies of images with the same fingerprint may train and validate on others."""
    left, right = (
        data.model_dump(mode="json", by_alias=True, exclude=_SHOWN_BY_FINGERPRINT | {"store_side"})
        for data in (one, other)
    )
    return [key for key in left if left[key] != right[key]]
