from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cifake_ray.data import ImageSet, Part, split_train, train_duplicates
from cifake_ray.data.datasets import cifake, generic
from cifake_ray.data.datasets.card import Card
from cifake_ray.data.facts import facts_of
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.data.stratify import choose_fraction, choose_stratified, copies_of, quotas
from cifake_ray.data.table import make_table
from cifake_ray.errors import InputError


def part_of(count: int, seed: int = 0, copies: int = 0) -> Part:
    """`count` images, half of each class, ten subjects; the last `copies` FAKE ones repeat the first."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    half = count // 2
    images[half - copies : half] = images[:copies]
    subjects = [("", *(f" ({k})" for k in range(2, 11)))[i % 10] for i in range(half)]
    names = np.array([f"{i:04d}{subject}.jpg" for i, subject in enumerate(subjects)] * 2)
    return as_part(images, np.repeat(np.array([0, 1], np.uint8), half), names, cifake.CARD)


def as_part(images: np.ndarray, labels: np.ndarray, names: np.ndarray, card: Card) -> Part:
    table = make_table("train", labels, names, facts_of(images)).with_groups(card)
    return Part(table, ArrayPixels(images), "", card)


def test_split_holds_each_image_once_and_in_order() -> None:
    split = split_train(part_of(400), 0.2, 0)
    assert np.array_equal(np.sort(np.concatenate([split.train, split.validation])), np.arange(400))
    assert (np.diff(split.validation) > 0).all()
    assert len(split.validation) == 80


def test_split_has_every_label_and_subject_in_proportion() -> None:
    part = part_of(1000)
    validation = split_train(part, 0.2, 0).validation
    assert np.bincount(part.labels[validation]).tolist() == [100, 100]
    assert np.bincount(part.table.groups["subject"][validation]).tolist() == [20] * 10


def test_subjects_left_out_neither_train_nor_validate_and_move_no_other_image() -> None:
    part = part_of(1000)
    whole, split = split_train(part, 0.2, 0), split_train(part, 0.2, 0, ("bird", "ship"))
    for all_of_it, kept in ((whole.train, split.train), (whole.validation, split.validation)):
        assert kept.tolist() == [i for i in all_of_it if part.table.groups["subject"][i] not in (2, 8)]
    assert len(split.train) + len(split.validation) == 800


def test_leaving_out_a_subject_that_no_name_tells_is_refused() -> None:
    part = part_of(40)
    unnamed = as_part(part.images, part.labels, np.array(["x.jpg"] * 40), cifake.CARD)
    with pytest.raises(InputError, match=r"leave_out: the names of the 40 images contain no subject"):
        split_train(unnamed, 0.2, 0, ("bird",))
    with pytest.raises(InputError, match=r"leave_out: no subject birt in CIFAKE; did you mean bird"):
        split_train(part, 0.2, 0, ("birt",))
    with pytest.raises(InputError, match=r"leave_out: the subjects of these images are not known"):
        split_train(replace(part, card=generic.CARD), 0.2, 0, ("bird",))


def test_split_keeps_copies_on_one_side_and_the_fraction() -> None:
    part = part_of(1000, copies=100)
    split = split_train(part, 0.2, 0)
    sides = [{part.images[i].tobytes() for i in side} for side in (split.train, split.validation)]
    assert not sides[0] & sides[1]
    assert abs(len(split.validation) - 200) <= 10


def test_split_of_many_images_is_within_a_fifth_of_a_percent() -> None:
    rng = np.random.default_rng(0)
    first = np.arange(100_000)
    first[50_000:51_000] = rng.permutation(25_000)[:1000]
    strata = np.arange(100_000) % 20
    for fraction in (0.1, 0.2, 0.35):
        assert abs(choose_fraction(first, strata, fraction, np.random.default_rng(0)).mean() - fraction) < 0.002


def test_split_follows_its_seed_alone() -> None:
    part = part_of(400)
    again, other = split_train(part, 0.2, 0), split_train(part, 0.2, 1)
    assert np.array_equal(split_train(part, 0.2, 0).validation, again.validation)
    assert not np.array_equal(again.validation, other.validation)


def test_split_without_a_class_on_one_side_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.val_fraction: 0\.01 of 20 train images"):
        split_train(part_of(20), 0.01, 0)


def test_subject_is_read_from_cifake_names_only() -> None:
    names = ["0001 (3).jpg", "0001.jpg", "9 (10).png", "IMG (4).jpg", "1 (57).jpg", "1 (0).jpg", "portrait.jpg"]
    assert cifake.CARD.codes(np.array(names))["subject"].tolist() == [2, 0, 9, 0, 0, 0, 0]
    assert not generic.CARD.codes(np.array(names))


def test_copies_have_the_position_of_the_first_of_them() -> None:
    expected = np.concatenate([np.arange(40), np.arange(10), np.arange(50, 100)])
    assert np.array_equal(copies_of(part_of(100, copies=10).table.digests), expected)


def test_quotas_share_out_the_whole() -> None:
    assert quotas(np.array([3, 3, 4]), 5).tolist() == [2, 1, 2]
    assert quotas(np.array([5000] * 20), 20_000).tolist() == [1000] * 20


def test_subset_of_an_uneven_set_keeps_both_classes() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), [1000, 3])
    chosen = choose_stratified(labels, {}, 20)
    assert len(chosen) == 20
    assert np.bincount(labels[chosen]).tolist() == [19, 1]


def test_subset_keeps_every_group_in_proportion() -> None:
    part = part_of(1000)
    chosen = choose_stratified(part.labels, part.table.groups, 200)
    assert np.bincount(part.labels[chosen]).tolist() == [100, 100]
    assert np.bincount(part.table.groups["subject"][chosen]).tolist() == [20] * 10


def test_test_images_that_train_holds_are_marked() -> None:
    train, test = part_of(100, seed=0), part_of(40, seed=1)
    images = ImageSet("folder", "folder", train, test, "", (), {}, Path(), generic.CARD)
    assert not train_duplicates(images).any()
    pixels = test.images.copy()
    pixels[[2, 5]] = train.images[[50, 1]]
    again = as_part(pixels, test.labels, test.table.names, cifake.CARD)
    assert np.flatnonzero(train_duplicates(replace(images, test=again))).tolist() == [2, 5]
