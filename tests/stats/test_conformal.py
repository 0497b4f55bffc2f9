"""Conformal limits: every division of small pools counted, laws of scipy, and draws."""

import itertools

import numpy as np
import pytest
from scipy.stats import beta, betabinom, nhypergeom

from cifake_ray.stats.conformal import Limit, excluded_interval, limit, needed, rank_of, ranked


def limit_of(strangeness: np.ndarray, alpha: float) -> Limit | None:
    return limit(ranked(strangeness), len(strangeness), alpha)


@pytest.mark.parametrize(("alpha", "images"), [(0.01, 99), (0.05, 19), (0.1, 9), (0.5, 1), (0.29, 3), (0.003, 333)])
def test_fewer_pictures_than_one_in_alpha_minus_one_exclude_nothing(alpha: float, images: int) -> None:
    assert needed(alpha) == images
    assert rank_of(alpha, images) == 1
    assert rank_of(alpha, images - 1) == 0
    assert limit_of(np.arange(images - 1.0), alpha) is None
    assert limit_of(np.arange(float(images)), alpha) == Limit(1, images, images - 1.0)


def test_a_product_of_decimals_is_rounded_down_from_what_it_means() -> None:
    assert 0.29 * 100 < 29
    assert rank_of(0.29, 99) == 29
    assert rank_of(0.01, 10_000) == 100


def test_over_all_divisions_of_a_pool_the_share_excluded_is_rank_by_images_plus_one() -> None:
    """Each picture in turn is the tested one: exactly rank of images + 1 are excluded, and fewer with ties."""
    pool, alpha = np.random.default_rng(0).normal(size=40), 0.1
    for values, expected in ((pool, rank_of(alpha, 39)), (pool.round(), None)):
        excluded = 0
        for tested in range(len(values)):
            found = limit_of(np.delete(values, tested), alpha)
            assert found is not None
            excluded += values[tested] > found.value
        if expected is None:
            assert excluded <= rank_of(alpha, 39)
        else:
            assert excluded == expected


def test_the_count_excluded_has_the_stated_law_over_all_divisions() -> None:
    calibration, tested, alpha = 9, 4, 0.2
    counts = np.zeros(tested + 1)
    for chosen in itertools.combinations(range(calibration + tested), calibration):
        found = limit_of(np.array(chosen, float), alpha)
        assert found is not None
        counts[sum(one > found.value for one in range(calibration + tested) if one not in chosen)] += 1
    law = betabinom(tested, 2, calibration + 1 - 2)  # rank 2 = floor(0.2 * 10)
    assert counts / counts.sum() == pytest.approx(law.pmf(np.arange(tested + 1)))


@pytest.mark.parametrize(("rank", "images", "tested"), [(1, 99, 100), (100, 10_000, 9622), (3, 54, 54)])
def test_the_interval_is_that_of_the_negative_hypergeometric_law(rank: int, images: int, tested: int) -> None:
    """Of all pictures in order of strangeness, the tested ones before the rank-th calibration picture are excluded."""
    law = nhypergeom(images + tested, tested, rank)
    assert excluded_interval(rank, images, tested) == (law.ppf(0.025), law.ppf(0.975))


@pytest.mark.parametrize("images", [22, 102, 2491])
def test_of_very_many_tested_pictures_the_share_excluded_is_beta_distributed(images: int) -> None:
    rank = rank_of(0.1, images)
    low, high = (bound / 1e6 for bound in excluded_interval(rank, images, 1_000_000))
    assert (low, high) == pytest.approx(beta(rank, images + 1 - rank).ppf([0.025, 0.975]), abs=1e-3)


def test_never_excluded_means_none_is_lost() -> None:
    assert excluded_interval(0, 50, 100) == (0, 0)


def test_thinned_ranks_are_those_of_usual_alphas_and_a_tenth_apart() -> None:
    strangeness = np.random.default_rng(0).normal(size=10_000)
    kept = ranked(strangeness)
    assert len(kept) < 100
    assert kept == {rank: np.sort(strangeness)[-rank] for rank in kept}
    for alpha in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5):
        found = limit(kept, 10_000, alpha)
        assert found is not None
        assert found.rank == rank_of(alpha, 10_000)
        assert found.promised == pytest.approx(alpha, rel=1e-3)


def test_any_other_alpha_is_at_most_a_tenth_more_careful_and_never_less() -> None:
    kept = ranked(np.arange(10_000.0))
    for alpha in np.random.default_rng(1).uniform(0.0001, 0.5, 500).tolist():
        found, allowed = limit(kept, 10_000, alpha), rank_of(alpha, 10_000)
        if allowed == 0:
            assert found is None
            continue
        assert found is not None
        assert 0.9 * allowed < found.rank <= allowed


def test_constant_and_infinite_strangeness_exclude_nothing_that_is_equal() -> None:
    for value in (0.0, np.inf):
        found = limit_of(np.full(200, value), 0.05)
        assert found is not None
        assert not value > found.value


def test_random_divisions_lie_in_their_interval_as_often_as_stated() -> None:
    rng, inside = np.random.default_rng(3), 0
    for _ in range(400):
        values = rng.normal(size=600)
        found = limit_of(values[:300], 0.05)
        assert found is not None
        low, high = excluded_interval(found.rank, 300, 300)
        inside += low <= (values[300:] > found.value).sum() <= high
    assert 0.93 < inside / 400 <= 1.0
