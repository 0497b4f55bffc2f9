"""Subsets keep every stratum's share, and copies are found by their digests."""

import numpy as np

from cifake_ray.data.stratify import choose_stratified, copies_of, quotas, strata_of

LABELS = np.repeat(np.array([0, 1], np.uint8), [300, 100])
GROUPS = {"subject": np.tile(np.arange(4, dtype=np.int64), 100)}


def test_quotas_sum_to_the_total_and_miss_no_share_by_one() -> None:
    sizes = np.array([7, 1, 1, 1])
    for total in range(11):
        shares = quotas(sizes, total)
        assert shares.sum() == total
        assert (np.abs(shares - sizes * total / 10) < 1).all()


def test_a_subset_holds_labels_and_groups_in_proportion() -> None:
    rows = choose_stratified(LABELS, GROUPS, 40)
    assert np.bincount(LABELS[rows]).tolist() == [30, 10]
    assert np.bincount(GROUPS["subject"][rows]).min() >= 9
    assert (np.diff(rows) > 0).all()


def test_the_smallest_subset_has_both_labels() -> None:
    assert set(LABELS[choose_stratified(LABELS, {}, 2)]) == {0, 1}


def test_a_larger_subset_holds_the_smaller_one() -> None:
    small, large = (set(choose_stratified(LABELS, {}, count)) for count in (40, 80))
    assert small < large


def test_strata_are_ordered_by_label_and_one_for_each_combination() -> None:
    strata = strata_of(LABELS, GROUPS)
    assert len(np.unique(strata)) == 8
    assert strata[LABELS == 0].max() < strata[LABELS == 1].min()


def test_a_copy_points_to_the_first_picture_with_its_pixels() -> None:
    assert copies_of(np.array([b"b", b"a", b"b", b"c", b"a"])).tolist() == [0, 1, 0, 3, 1]
