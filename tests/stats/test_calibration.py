"""Calibration against scikit-learn and numbers worked out by hand."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as reference_loss

from cifake_ray.stats.calibration import expected_calibration_error, log_loss, reliability


def test_ece_of_constructed_bins() -> None:
    labels = np.zeros(10, np.uint8)
    labels[8:] = 1  # with confidence 0.9, eight of ten are right: a gap of 0.1
    assert expected_calibration_error(labels, np.full(10, 0.9)) == pytest.approx(0.1)
    assert expected_calibration_error(1 - labels, np.full(10, 0.1)) == pytest.approx(0.1)  # the same, said of REAL
    sure = np.where(labels == 0, 1.0, 0.0)
    assert expected_calibration_error(labels, sure) == 0
    assert expected_calibration_error(labels, 1 - sure) == 1
    two_bins = np.array([0.9] * 10 + [0.6] * 10)  # and half of ten right at 0.6: a gap of 0.1 too, in another bin
    both = np.concatenate([labels, np.array([0] * 5 + [1] * 5, np.uint8)])
    assert expected_calibration_error(both, two_bins) == pytest.approx(0.1)


def test_gaps_of_opposite_sign_cancel_within_a_bin_and_add_up_between_bins() -> None:
    over, under = [0.99] * 10, [0.76] * 10
    labels = np.array([0] * 9 + [1] + [0] * 10, np.uint8)  # 90 % right at 0.99, 100 % right at 0.76
    assert expected_calibration_error(labels, np.array(over + under)) == pytest.approx((0.09 + 0.24) / 2)
    assert expected_calibration_error(labels, np.array([0.95] * 20)) == pytest.approx(0.0)


def test_reliability_is_the_calibration_curve_of_scikit_learn_without_small_bins() -> None:
    rng = np.random.default_rng(2)
    p_fake = rng.random(40_000)
    labels = np.where(rng.random(40_000) < p_fake, 0, 1).astype(np.uint8)
    found, stated = calibration_curve(labels == 0, p_fake, n_bins=10)
    mine = reliability(labels, p_fake, 10, 20)
    assert mine[0] == pytest.approx(stated)
    assert mine[1] == pytest.approx(found)
    assert mine[1] == pytest.approx(mine[0], abs=0.03)  # honest probabilities lie on the diagonal
    assert len(reliability(labels[:50], np.append(p_fake[:49] / 10, 0.95), 10, 20)[0]) == 1


def test_log_loss_is_that_of_scikit_learn_and_finite_for_a_sure_error() -> None:
    rng = np.random.default_rng(0)
    labels, p_fake = rng.integers(0, 2, 500).astype(np.uint8), rng.random(500)
    assert log_loss(labels, p_fake) == pytest.approx(reference_loss(labels == 0, p_fake))
    assert log_loss(np.array([0], np.uint8), np.array([0.0])) == pytest.approx(-np.log(np.finfo(float).eps))
