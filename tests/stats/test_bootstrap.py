"""The Poisson bootstrap against scikit-learn's weighted scores."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from cifake_ray.stats.bootstrap import RESAMPLES, _poisson_weights, resampled_scores
from cifake_ray.stats.calibration import expected_calibration_error


def predictions(images: int, seed: int = 0, decimals: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of FAKE that are right about four times of five; few decimals make ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, images).astype(np.uint8)
    p_fake = 1 / (1 + np.exp(-rng.normal(np.where(labels == 0, 1.0, -1.0), 1.2)))
    return labels, p_fake.round(decimals)


def test_every_resample_has_the_weighted_auc_f1_and_ece_of_scikit_learn() -> None:
    labels, p_fake = predictions(200, decimals=1)
    draws = resampled_scores(labels, p_fake)
    weights = np.concatenate(list(_poisson_weights(len(labels))))
    assert len(weights) == RESAMPLES
    for row in (0, 49, 50, 999):
        weight, fake = weights[row], labels == 0
        assert draws["auc"][row] == pytest.approx(roc_auc_score(fake, p_fake, sample_weight=weight), rel=1e-5)
        assert draws["f1_fake"][row] == pytest.approx(f1_score(fake, p_fake > 0.5, sample_weight=weight), rel=1e-5)
        balanced = balanced_accuracy_score(fake, p_fake > 0.5, sample_weight=weight)
        assert draws["balanced_accuracy"][row] == pytest.approx(balanced, rel=1e-5)
        repeated = np.repeat(np.arange(len(labels)), weight.astype(int))
        expected = expected_calibration_error(labels[repeated], p_fake[repeated])
        assert draws["ece"][row] == pytest.approx(expected, abs=1e-6)
