"""Test metrics against scikit-learn and numbers worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from cifake_ray.errors import InputError
from cifake_ray.evaluation.metrics import score_seeds
from cifake_ray.runs.records import Interval

KEYS = ("accuracy", "balanced_accuracy", "auc", "f1_fake", "ece")


def predictions(images: int, seed: int = 0, decimals: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of FAKE that are right about four times of five; few decimals make ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, images).astype(np.uint8)
    p_fake = 1 / (1 + np.exp(-rng.normal(np.where(labels == 0, 1.0, -1.0), 1.2)))
    return labels, p_fake.round(decimals)


@pytest.mark.parametrize("decimals", [9, 1])
def test_auc_f1_and_accuracy_are_those_of_scikit_learn_with_fake_as_positive(decimals: int) -> None:
    labels, p_fake = predictions(500, decimals=decimals)
    _, mean = score_seeds(labels, [p_fake])
    assert mean.auc.value == pytest.approx(roc_auc_score(labels == 0, p_fake))
    assert mean.f1_fake.value == pytest.approx(f1_score(labels == 0, p_fake > 0.5))
    assert mean.accuracy.value == pytest.approx(((labels == 0) == (p_fake > 0.5)).mean())
    assert mean.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(labels == 0, p_fake > 0.5))


def test_metrics_worked_out_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1], np.uint8)  # three FAKE, two REAL
    p_fake = np.array([0.9, 0.6, 0.3, 0.6, 0.2])
    _, mean = score_seeds(labels, [p_fake])
    assert mean.accuracy.value == pytest.approx(3 / 5)
    assert mean.f1_fake.value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))  # 2 found, 1 wrong alarm, 1 missed
    assert mean.auc.value == pytest.approx((2 + 1.5 + 1) / 6)  # wins of each FAKE over the REAL; a tie is half


def test_intervals_contain_their_value() -> None:
    labels, p_fake = predictions(400)
    each, mean = score_seeds(labels, [p_fake, predictions(400)[1] ** 2])
    for scores in (*each, mean):
        for key in KEYS:
            assert getattr(scores, key).low <= getattr(scores, key).value <= getattr(scores, key).high, key
            assert getattr(scores, key).low < getattr(scores, key).high, key


def test_intervals_narrow_with_the_number_of_images() -> None:
    few, many = (score_seeds(labels, [p_fake])[1] for labels, p_fake in map(predictions, (200, 5000)))
    for key in KEYS:
        assert (getattr(many, key).high - getattr(many, key).low) < 0.5 * (
            getattr(few, key).high - getattr(few, key).low
        ), key


def test_the_bootstrap_covers_the_spread_of_repeated_samples() -> None:
    """Of 20 samples from one model, the intervals of most contain the AUC of a very large sample (19 expected)."""
    labels, p_fake = predictions(50_000, seed=99)
    truth = roc_auc_score(labels == 0, p_fake)
    scores = [score_seeds(labels, [p])[1].auc for labels, p in (predictions(150, seed) for seed in range(20))]
    assert sum(score.low <= truth <= score.high for score in scores) >= 16
    assert max(score.high - score.low for score in scores) < 0.2


def test_equal_predictions_get_equal_intervals() -> None:
    labels, p_fake = predictions(300)
    (first, second), mean = score_seeds(labels, [p_fake, p_fake.copy()])
    assert first == second
    for key in KEYS:
        assert getattr(mean, key).as_json() == pytest.approx(getattr(first, key).as_json()), key


def test_the_mean_is_over_seeds() -> None:
    labels, p_fake = predictions(300)
    worse = predictions(300, seed=5)[1]
    (first, second), mean = score_seeds(labels, [p_fake, worse])
    for key in KEYS:
        assert getattr(mean, key).value == pytest.approx(
            (getattr(first, key).value + getattr(second, key).value) / 2
        ), key
    assert first.auc.value > second.auc.value


@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_class_have_no_auc_but_all_other_metrics(label: int) -> None:
    labels = np.full(50, label, np.uint8)
    _, mean = score_seeds(labels, [np.full(50, 0.9)])
    assert mean.auc == Interval(value=0.5, low=0.5, high=0.5)
    assert mean.accuracy.value == 1 - label
    assert mean.f1_fake.value == 1 - label
    assert mean.ece.value == pytest.approx(0.1 if label == 0 else 0.9)


def test_a_handful_of_images_gives_wide_and_finite_intervals() -> None:
    _, mean = score_seeds(np.array([0, 1, 1], np.uint8), [np.array([0.9, 0.2, 0.6])])
    for key in KEYS:
        assert 0 <= getattr(mean, key).low <= getattr(mean, key).value <= getattr(mean, key).high <= 1, key


def test_no_image_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="none is left to test on"):
        score_seeds(np.zeros(0, np.uint8), [np.zeros(0)])
