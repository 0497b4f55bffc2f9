"""Tests of differences against published examples, scipy and what can be counted by hand."""

import pytest
from scipy.stats import binom, binomtest

from cifake_ray.stats.significance import holm, mcnemar


def test_mcnemar_is_the_mid_p_of_a_published_example() -> None:
    """Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91, table 1: 1 and 7 discordant pairs."""
    assert mcnemar(1, 7) == pytest.approx(0.039, abs=5e-4)
    assert mcnemar(7, 1) == mcnemar(1, 7)
    assert binomtest(1, 8).pvalue == pytest.approx(0.070, abs=5e-4)  # the exact test, more cautious


@pytest.mark.parametrize("count", [0, 1, 40])
def test_winners_with_equally_many_errors_of_their_own_do_not_differ(count: int) -> None:
    assert mcnemar(count, count) == 1.0


def test_holm_multiplies_by_the_tests_that_are_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize(("first", "second"), [(0, 5), (3, 4), (179, 166), (722, 137)])
def test_mid_p_is_the_exact_p_of_scipy_less_the_probability_of_what_was_seen(first: int, second: int) -> None:
    exact = binomtest(first, first + second).pvalue
    assert mcnemar(first, second) == pytest.approx(exact - binom.pmf(min(first, second), first + second, 0.5))
