"""Which images of the train part train and which validate; and which test images are copies of train images."""

from dataclasses import dataclass

import numpy as np

from cifake_ray.data.groups import Chosen, check_groups, choose_unseen, columns_of, generator_codes, in_groups
from cifake_ray.data.images import ImageSet, Part
from cifake_ray.data.stratify import Indices, choose_fraction, copies_of, pooled, strata_of
from cifake_ray.errors import InputError
from cifake_ray.experiment import Data

_SHOWN_BY_FINGERPRINT = {"source", "labels", "parts", "card"}  # keys of `data`; `store_side` is for training alone


@dataclass(frozen=True)
class Split:
    """Sorted positions in a part: int64 [n]. Both sides together are the part without excluded images, each once.

    dropped: number of train images excluded as copies of images that validate. left_out: of images excluded by
    `data.leave_out`. unseen: generators that validate and of which no image trains; unnamed: number of FAKE images
    excluded then because their generator is not known, and may be one of these.
    """

    train: Indices
    validation: Indices
    dropped: int = 0
    left_out: int = 0
    unseen: tuple[str, ...] = ()
    unnamed: int = 0


def study_split(part: Part, data: Data) -> Split:
    """The split of a study's train part by the `data` section of its experiment.

    Raises InputError for groups that the images do not have, and when a side would lack a class.
    """
    check_groups(data, columns_of(part.table))
    unseen = choose_unseen(data, columns_of(part.table)) if data.unseen else ()
    return split_train(part, data.val_fraction, data.split_seed, leave_out=data.leave_out, unseen=unseen)


def split_train(
    part: Part, val_fraction: float, seed: int, *, leave_out: Chosen | None = None, unseen: tuple[str, ...] = ()
) -> Split:
    """Split `part` into train and validation, stratified by label and groups; copies stay on one side.

    The source's own validation part is used unchanged, and copies of its images are removed from train. The same part,
    fraction and seed yield the same split. FAKE images of the generators in `unseen` then validate, and all others
    train; images of groups in `leave_out` are removed from both sides. Raises InputError when a side lacks a class.
    """
    first = copies_of(part.table.digests)
    if (different := len(np.unique(first))) < 4 <= len(part):
        raise InputError(f"the {len(part):,} train images are {different} different pictures", "give more of them")
    given = part.table.given_validation
    validating = given if given.any() else _draw_validation(part, first, val_fraction, seed)
    left = in_groups(part.table, leave_out or {})
    unnamed = np.zeros(len(part), dtype=bool)
    if unseen:
        validating, unnamed = _by_generator(part, validating, unseen)
    twice = validating if given.any() or unseen else given  # a draw has no copies on the other side
    copies = np.isin(part.table.digests, part.table.digests[twice]) & ~validating
    kept = ~left & ~unnamed
    split = Split(
        np.flatnonzero(~validating & ~copies & kept),
        np.flatnonzero(validating & kept),
        int((copies & kept).sum()),
        int(left.sum()),
        unseen,
        int(unnamed.sum()),
    )
    for side in (split.train, split.validation):
        if len(np.unique(part.labels[side])) < 2:
            raise _one_class(part, val_fraction, given=bool(given.any()), left=bool(left.any() or unseen))
    return split


def _by_generator(part: Part, validating: np.ndarray, unseen: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which images validate, with the FAKE ones of these generators alone; and FAKE images of no known generator."""
    if part.table.given_validation.any():
        raise InputError(
            "data.validate: the images have a validation part of their own, which is used as given",
            "remove the key, or make that part a train part too, as by data.parts: {val: train}",
        )
    codes, known = generator_codes(part.table)
    fake = part.labels == 0
    chosen = np.isin(codes, [known.index(name) for name in unseen])
    return np.where(fake, chosen, validating), fake & (codes < 0)


def _draw_validation(part: Part, first: Indices, fraction: float, seed: int) -> np.ndarray:
    strata = pooled(strata_of(part.labels, part.table.groups), part.labels, fraction)
    return choose_fraction(first, strata, fraction, np.random.default_rng(seed))


def _one_class(part: Part, fraction: float, *, given: bool, left: bool) -> InputError:
    if left:
        return InputError(
            "data.leave_out and data.validate leave one of the classes without pictures to train on or to validate by",
            "leave out fewer groups, or give more images",
        )
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
