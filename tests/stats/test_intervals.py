"""Intervals against numbers computed by hand and published examples."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm, ttest_1samp

from cifake_ray.stats.intervals import (
    Z95,
    balanced_interval,
    difference_interval,
    matched_difference,
    paired_interval,
    wilson,
)


def test_wilson_interval_of_half() -> None:
    # p = 1/2, n = 100: centre 1/2, half width 1.959964 / (1 + 0.0384146) * sqrt(0.0025 + 0.0000960365) = 0.0961698
    assert wilson(0.5, 100) == pytest.approx((0.403832, 0.596168), abs=1e-6)


def test_wilson_interval_of_all_right_does_not_pass_one() -> None:
    # p = 1: low = n / (n + z^2) = 10 / 13.8414588
    assert wilson(1.0, 10) == pytest.approx((0.722467, 1.0), abs=1e-6)


def test_wilson_interval_agrees_with_newcombes_example() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_difference_agrees_with_newcombes_example() -> None:
    # Newcombe 1998, table II, method 10: 56/70 - 48/80 gives 0.0524 to 0.3339
    assert difference_interval(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_unknown_number_of_images_gives_no_interval() -> None:
    assert all(math.isnan(limit) for limit in (*wilson(0.9, None), *wilson(math.nan, 10)))


def test_wilson_is_the_formula_of_1927() -> None:
    z = norm.ppf(0.975)
    for right, images in ((0, 10), (57, 60), (500, 1000), (1000, 1000)):
        share = right / images
        centre = (share + z**2 / (2 * images)) / (1 + z**2 / images)
        half = z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
        assert wilson(share, images) == pytest.approx((centre - half, centre + half))


def test_a_mean_over_seeds_is_not_rounded_to_whole_images() -> None:
    assert wilson(0.955, 100)[0] < wilson(0.96, 100)[0]
    assert wilson(0.955, 100)[0] > wilson(0.95, 100)[0]


@pytest.mark.parametrize(("right", "images"), [(0, 10), (57, 60), (500, 1000), (19_278, 19_622), (10, 10)])
def test_wilson_is_the_interval_of_scipy(right: int, images: int) -> None:
    expected = binomtest(right, images).proportion_ci(method="wilson")
    assert wilson(right / images, images) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_normal_quantile_is_that_of_scipy() -> None:
    assert norm.ppf(0.975) == pytest.approx(Z95, abs=1e-15)


def test_interval_of_one_seed_is_that_over_images() -> None:
    differences = np.array([[1.0, 0, 0, -1, 1, 0, 0, 0]])
    found = paired_interval(differences)
    half = Z95 * math.sqrt(differences[0].var(ddof=1) / 8)
    assert (found.value, found.low, found.high) == pytest.approx((0.125, 0.125 - half, 0.125 + half))


def test_interval_covers_the_choice_of_seeds_too() -> None:
    images = np.zeros(10_000)
    shifts = (0.0, 0.02, 0.04)
    differences = np.array([np.where(np.arange(10_000) < shift * 10_000, 1.0, images) for shift in shifts])
    found = paired_interval(differences)
    assert found.value == pytest.approx(0.02)
    assert found.low < 0 < found.high  # t with about 2 degrees of freedom: 4.3 times 0.0115


def test_intervals_hold_the_true_gain_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        seeds = 0.02 + 0.01 * rng.standard_normal(3)
        drawn = rng.random((3, 800))
        differences = np.where(drawn < 0.05 + seeds[:, None], 1.0, np.where(drawn > 0.95, -1.0, 0.0))
        found = paired_interval(differences)
        covered += found.low <= 0.02 <= found.high
    assert 0.93 <= covered / 400 <= 1.0


def test_between_seeds_alone_the_interval_is_that_of_students_t_test() -> None:
    differences = np.repeat([[0.0], [0.02], [0.05]], 1000, axis=1)  # every image alike: no variance over images
    found = paired_interval(differences)
    expected = ttest_1samp(differences.mean(1), 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_matched_difference_is_walds_interval_with_half_an_image_in_each_cell() -> None:
    first, second, images = 253.5, 160.5, 19_622 + 2
    mean = (first - second) / images
    half = norm.ppf(0.975) * np.sqrt(((first + second) / images - mean**2) / images)
    found = matched_difference(253, 160, 19_622)
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))
    assert found.value == pytest.approx(93 / 19_622)


def test_balanced_interval_is_wilsons_for_one_class_and_between_the_classes_for_two() -> None:
    one = balanced_interval([81], [263])
    assert (one.low, one.high) == pytest.approx(wilson(81 / 263, 263))
    two = balanced_interval([90, 20], [100, 40])
    assert two.value == pytest.approx(0.7)
    assert 0.0 < two.low < two.value < two.high < 1.0


def test_balanced_interval_holds_the_true_value_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    drawn = zip(rng.binomial(60, 0.9, 2000).tolist(), rng.binomial(200, 0.6, 2000).tolist(), strict=True)
    found = [balanced_interval(right, (60, 200)) for right in drawn]
    assert 0.94 < np.mean([one.low <= 0.75 <= one.high for one in found]) < 0.97
