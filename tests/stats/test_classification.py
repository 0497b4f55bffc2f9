"""Scores of two classes against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, rankdata
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    roc_auc_score,
)
from sklearn.metrics import roc_curve as reference_curve

from cifake_ray.stats.classification import (
    accuracy,
    auc,
    average_precision,
    balanced_accuracy,
    confusion,
    constant_accuracy,
    f1_fake,
    roc_curve,
)


def drawn(decimals: int, count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of FAKE; few decimals make ties."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count).astype(np.uint8)
    p_fake = np.clip(np.where(labels == 0, 0.65, 0.35) + rng.normal(0, 0.2, count), 0, 1)
    return labels, p_fake.round(decimals).astype(np.float32)


@pytest.mark.parametrize("decimals", [9, 1])
def test_scores_are_those_of_scikit_learn_with_fake_as_the_positive_class(decimals: int) -> None:
    labels, p_fake = drawn(decimals)
    fake, called = labels == 0, p_fake > 0.5
    assert accuracy(labels, p_fake) == pytest.approx(accuracy_score(fake, called))
    assert balanced_accuracy(labels, p_fake) == pytest.approx(balanced_accuracy_score(fake, called))
    assert f1_fake(labels, p_fake) == pytest.approx(f1_score(fake, called))
    assert auc(labels, p_fake) == pytest.approx(roc_auc_score(fake, p_fake))
    assert average_precision(labels, p_fake) == pytest.approx(average_precision_score(fake, p_fake))
    u = mannwhitneyu(p_fake[fake], p_fake[~fake]).statistic
    assert auc(labels, p_fake) == pytest.approx(u / (fake.sum() * (~fake).sum()))
    assert np.array_equal(confusion(labels, p_fake), confusion_matrix(labels, np.where(called, 0, 1)))


@pytest.mark.parametrize("decimals", [9, 1])
def test_roc_curve_is_that_of_scikit_learn(decimals: int) -> None:
    labels, p_fake = drawn(decimals)
    false, true = roc_curve(labels, p_fake)
    expected = reference_curve(labels == 0, p_fake, drop_intermediate=False)
    assert np.append(0, false) == pytest.approx(expected[0])
    assert np.append(0, true) == pytest.approx(expected[1])
    assert np.trapezoid(np.append(0, true), np.append(0, false)) == pytest.approx(auc(labels, p_fake))


def test_ranks_of_ties_are_those_of_scipy() -> None:
    labels, p_fake = drawn(1)
    fake = labels == 0
    wins = rankdata(p_fake)[fake].sum() - fake.sum() * (fake.sum() + 1) / 2
    assert auc(labels, p_fake) == wins / (fake.sum() * (~fake).sum())  # to the last digit


def test_constant_answer_reaches_the_share_of_the_larger_class() -> None:
    assert constant_accuracy(np.array([0, 1, 1, 1], np.uint8)) == 0.75
