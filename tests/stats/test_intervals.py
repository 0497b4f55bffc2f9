"""Intervals against numbers computed by hand and published examples."""

import math

import pytest
from scipy.stats import norm

from cifake_ray.stats.intervals import difference_interval, wilson


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
