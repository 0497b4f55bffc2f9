"""Platt scaling against scikit-learn and logistic regression; prior conversion against Bayes' rule."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import _sigmoid_calibration
from sklearn.linear_model import LogisticRegression

from cifake_ray.stats.platt import LARGEST, fit_platt, prior_shift, probability


def drawn(count: int = 3000, share: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two overlapping classes, and which are positive."""
    rng = np.random.default_rng(seed)
    positive = rng.random(count) < share
    return np.where(positive, 2.0, -1.3) + rng.normal(0, 2, count), positive


def shares(positive: np.ndarray) -> float:
    """The mean of Platt's targets."""
    more, fewer = positive.sum(), (~positive).sum()
    return float((more * (more + 1) / (more + 2) + fewer / (fewer + 2)) / len(positive))


@pytest.mark.parametrize(("count", "share", "seed"), [(3000, 0.3, 0), (200, 0.9, 1), (12, 0.5, 2)])
def test_the_fit_is_that_of_scikit_learn(count: int, share: float, seed: int) -> None:
    scores, positive = drawn(count, share, seed)
    a, b = fit_platt(scores, positive)
    expected_a, expected_b = _sigmoid_calibration(scores, positive.astype(float))  # of 1 / (1 + exp(A f + B))
    assert a == pytest.approx(-expected_a, rel=1e-4)
    assert b - prior_shift(shares(positive), 0.5) == pytest.approx(-expected_b, rel=1e-3, abs=1e-4)


def test_many_balanced_scores_give_logistic_regression() -> None:
    scores, positive = drawn(40_000, 0.5)
    a, b = fit_platt(scores, positive)
    plain = LogisticRegression(C=1e9).fit(scores[:, None], positive)
    assert a == pytest.approx(plain.coef_[0, 0], rel=2e-3)
    assert b == pytest.approx(plain.intercept_[0] - logit(positive.mean()), abs=5e-3)


def test_scores_of_any_scale_and_place_give_the_same_probabilities() -> None:
    scores, positive = drawn()
    expected = probability(scores, *fit_platt(scores, positive))
    for scale, shift in ((1e6, 0.0), (1e-6, 0.0), (1.0, 1000.0), (-1.0, 0.0)):
        moved = scale * scores + shift
        assert probability(moved, *fit_platt(moved, positive)) == pytest.approx(expected, abs=1e-6)


def test_calibrated_probabilities_assume_as_many_positives_as_negatives() -> None:
    scores, positive = drawn(40_000, 0.1)
    a, b = fit_platt(scores, positive)
    balanced = np.concatenate([scores[positive], scores[~positive][: positive.sum()]])
    assert probability(balanced, a, b).mean() == pytest.approx(0.5, abs=0.01)
    assert probability(scores, a, b, prior=0.1).mean() == pytest.approx(0.1, abs=0.01)


def test_separated_classes_have_a_finite_slope() -> None:
    scores, positive = np.array([-3.0, -2, -1, 1, 2, 3]), np.arange(6) >= 3
    a, b = fit_platt(scores, positive)
    assert 0 < a < 5
    assert probability(scores, a, b)[[0, -1]] == pytest.approx([0.2, 0.8], abs=0.1)  # targets 1/5 and 4/5


@pytest.mark.parametrize("constant", [0.0, 3.0, -1e30])
def test_constant_scores_say_nothing(constant: float) -> None:
    a, b = fit_platt(np.full(10, constant), np.arange(10) < 4)
    assert a == 0.0
    assert probability(np.array([-5.0, constant, np.inf]), a, b) == pytest.approx(0.5)


def test_infinite_scores_are_as_large_as_the_largest_and_get_sure_probabilities() -> None:
    scores, positive = drawn(300)
    most = np.abs(scores).max()
    infinite = np.append(scores, [np.inf, -np.inf])
    found = fit_platt(infinite, np.append(positive, [True, False]))
    assert found == fit_platt(np.append(scores, [most, -most]), np.append(positive, [True, False]))
    assert probability(infinite[-2:], *found).tolist() == [1.0, 0.0]
    only = fit_platt(np.array([np.inf, np.inf, -np.inf]), np.array([True, True, False]))
    assert np.isfinite(only).all()
    assert np.isfinite(probability(np.array([LARGEST, -LARGEST]), *only)).all()


def test_a_classifier_worse_than_chance_gets_a_falling_line() -> None:
    scores, positive = drawn()
    assert fit_platt(-scores, positive)[0] == pytest.approx(-fit_platt(scores, positive)[0])


def test_a_prior_changes_probabilities_by_bayes_rule() -> None:
    """A test of sensitivity and specificity 0.9 and 0.8: of a tenth that is positive, a positive answer means 1/3."""
    assumed = 0.9 / (0.9 + 0.2)  # of as many positives as negatives
    changed = expit(logit(assumed) + prior_shift(0.5, 0.1))
    assert changed == pytest.approx(0.9 * 0.1 / (0.9 * 0.1 + 0.2 * 0.9))
    assert changed == pytest.approx(1 / 3)
