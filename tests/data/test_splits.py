from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifake_ray.data import ImageSet, Part, split_train, study_split, train_duplicates
from cifake_ray.data.datasets import cifake, generic
from cifake_ray.data.datasets.card import Card
from cifake_ray.data.facts import facts_of
from cifake_ray.data.groups import generator_codes
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.data.stratify import choose_fraction, choose_stratified, copies_of, quotas
from cifake_ray.data.table import joined, make_table
from cifake_ray.errors import InputError
from cifake_ray.experiment import Data


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
    whole, split = split_train(part, 0.2, 0), study_split(part, Data(leave_out=["bird", "ship"]))
    for all_of_it, kept in ((whole.train, split.train), (whole.validation, split.validation)):
        assert kept.tolist() == [i for i in all_of_it if part.table.groups["subject"][i] not in (2, 8)]
    assert len(split.train) + len(split.validation) == 800
    assert split.left_out == 200


def test_leaving_out_a_subject_that_no_name_tells_is_refused() -> None:
    part = part_of(40)
    unnamed = as_part(part.images, part.labels, np.array(["x.jpg"] * 40), cifake.CARD)
    with pytest.raises(InputError, match=r"leave_out: the subjects of these images are not known; remove the key"):
        study_split(unnamed, Data(leave_out=["bird"]))
    with pytest.raises(InputError, match=r"leave_out: no subject birt in the train part; did you mean bird"):
        study_split(part, Data(leave_out=["birt"]))


def generated(given: bool = False, copies: int = 0) -> Part:
    """20 FAKE images each of adam, bertha and carl, 4 of no known generator, 36 REAL; the first FAKE ones by adam.

    given: the last 10 FAKE and REAL images are a validation part. copies: images of carl that repeat those of adam.
    """
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (100, 8, 8, 3), dtype=np.uint8)
    images[40 : 40 + copies] = images[:copies]
    labels = np.repeat(np.array([0, 1], np.uint8), [64, 36])
    names = np.array([f"{at:03d}.png" for at in range(100)])
    by = [*(["adam"] * 20), *(["bertha"] * 20), *(["carl"] * 20), *([""] * 40)]
    whole = make_table("train", labels, names, facts_of(images), {"generator": by})
    rows = np.r_[50:60, 90:100]
    kept = np.setdiff1d(np.arange(100), rows)
    table = joined([whole.take(kept), whole.take(rows).with_part("validation")]) if given else whole
    return Part(table, ArrayPixels(images[np.r_[kept, rows]] if given else images), "")


def by_generator(part: Part, rows: np.ndarray) -> dict[str, int]:
    """Number of FAKE images of each generator among these rows."""
    codes, known = generator_codes(part.table.take(rows))
    return {name: int((codes == code).sum()) for code, name in enumerate(known)}


def test_a_generator_left_out_neither_trains_nor_validates_and_the_rest_stays() -> None:
    part = generated()
    whole, split = (
        split_train(part, 0.25, 0),
        study_split(part, Data(leave_out={"generator": ["carl"]}, val_fraction=0.25)),
    )
    assert set(by_generator(part, split.train)) == set(by_generator(part, split.validation)) == {"adam", "bertha"}
    carl = np.arange(40, 60)
    assert np.array_equal(split.train, np.setdiff1d(whole.train, carl))
    assert np.array_equal(split.validation, np.setdiff1d(whole.validation, carl))
    assert split.left_out == 20


def test_unseen_generators_validate_whole_and_no_image_of_them_trains() -> None:
    part = generated()
    whole = split_train(part, 0.25, 0)
    split = study_split(part, Data(validate={"unseen": ["carl"]}, val_fraction=0.25))
    assert by_generator(part, split.train) == {"adam": 20, "bertha": 20}
    assert by_generator(part, split.validation) == {"carl": 20}
    assert (split.unseen, split.unnamed, split.left_out) == (("carl",), 4, 0)
    for real, before in ((split.train, whole.train), (split.validation, whole.validation)):
        assert real[part.labels[real] == 1].tolist() == before[part.labels[before] == 1].tolist()


def test_unseen_generators_are_drawn_by_the_split_seed_among_those_not_left_out() -> None:
    part = generated()
    drawn = {seed: study_split(part, Data(validate={"unseen": 1}, split_seed=seed)).unseen for seed in range(12)}
    assert drawn[3] == study_split(part, Data(validate={"unseen": 1}, split_seed=3)).unseen
    assert set(drawn.values()) == {("adam",), ("bertha",), ("carl",)}
    for seed, (chosen,) in drawn.items():
        for left in {"adam", "bertha", "carl"} - {chosen}:  # leaving out another one changes no draw
            data = Data(validate={"unseen": 1}, split_seed=seed, leave_out={"generator": [left]})
            split = study_split(part, data)
            assert split.unseen == (chosen,)
            assert set(by_generator(part, split.train)) == {"adam", "bertha", "carl"} - {chosen, left}
    assert len(study_split(part, Data(validate={"unseen": 2})).unseen) == 2


def test_an_image_that_trains_equals_none_that_validates_by_another_generator() -> None:
    part = generated(copies=5)
    split = study_split(part, Data(validate={"unseen": ["adam"]}))
    assert split.dropped == 5
    assert by_generator(part, split.train) == {"bertha": 20, "carl": 15}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"leave_out": {"generator": ["Carla"]}},
         "data.leave_out: no generator Carla in the train part; did you mean carl?"),
        ({"leave_out": {"generator": ["midjourney"]}},
         "no generator midjourney in the train part; there are adam, bertha, carl"),
        ({"leave_out": {"camera": ["x"]}},
         "the cameras of these images are not known; known of these images: generator"),
        ({"validate": {"unseen": ["bert"]}},
         "data.validate: no generator bert in the train part; did you mean bertha?"),
        ({"validate": {"unseen": 3}}, "data.validate: 3 unseen of 3 generators leave none to train on; give 2 at most"),
        ({"validate": {"unseen": 1}, "leave_out": {"generator": ["adam", "carl"]}},
         "1 unseen of 1 generators leave none to train on; leave out fewer generators"),
        ({"leave_out": {"generator": ["adam", "bertha", "carl"]}, "val_fraction": 0.01},
         "data.leave_out and data.validate leave one of the classes without pictures"),
    ],
)  # fmt: skip
def test_groups_that_cannot_be_left_out_are_refused_in_one_line(data: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as refused:
        study_split(generated(), Data(**data))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unseen_generators_need_three_and_no_validation_part_as_given() -> None:
    part = generated()
    two = part.take(np.r_[0:40, 64:100])
    with pytest.raises(InputError, match="only adam, bertha in the train part, and unseen needs 3 generators"):
        study_split(two, Data(validate={"unseen": 1}))
    with pytest.raises(InputError, match=r"no generator in the train part, and unseen needs 3"):
        study_split(part_of(100), Data(validate={"unseen": 1}))
    with pytest.raises(InputError, match=r"validation part of their own.*data.parts: \{val: train\}"):
        study_split(generated(given=True), Data(validate={"unseen": 1}))


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
