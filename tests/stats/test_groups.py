"""Scores of groups against scikit-learn, and what small groups and groups of one class get."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from cifake_ray.stats.groups import group_scores, scores_by_group, summary, worst_group
from cifake_ray.stats.intervals import wilson


def drawn(fake: int = 90, real: int = 60) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Labels, the answers of two seeds, and generators a, b and c of FAKE images in turn; c is judged worst."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.array([0, 1], np.uint8), [fake, real])
    groups = np.where(labels == 0, np.array(["a", "b", "c"])[np.arange(fake + real) % 3], "")
    level = np.where(labels == 1, 0.3, np.where(groups == "c", 0.5, 0.7))
    return labels, [np.clip(level + rng.normal(0, 0.2, len(labels)), 0, 1) for _ in range(2)], groups


def test_a_generator_is_compared_with_all_real_images_as_scikit_learn_does() -> None:
    labels, p_fake, groups = drawn()
    for name, found in scores_by_group(labels, p_fake, groups).items():
        beside = (groups == name) | (labels == 1)
        fake = labels[beside] == 0
        right = np.mean([(seed[groups == name] > 0.5).mean() for seed in p_fake])
        assert (found.images, found.right.value) == (30, pytest.approx(right))
        assert (found.right.low, found.right.high) == pytest.approx(wilson(right, 30))
        assert found.balanced is not None
        balanced = np.mean([balanced_accuracy_score(fake, seed[beside] > 0.5) for seed in p_fake])
        assert found.balanced.value == pytest.approx(balanced)
        assert found.balanced.low < balanced < found.balanced.high
        assert found.auc == pytest.approx(np.mean([roc_auc_score(fake, seed[beside]) for seed in p_fake]))
        precision = np.mean([average_precision_score(fake, seed[beside]) for seed in p_fake])
        assert found.average_precision == pytest.approx(precision)


def test_a_group_of_both_classes_is_scored_within_itself() -> None:
    labels, p_fake, _ = drawn()
    member = np.arange(len(labels)) % 2 == 0
    found = group_scores(labels, p_fake[:1], member)
    assert found.balanced is not None
    assert found.balanced.value == pytest.approx(balanced_accuracy_score(labels[member] == 0, p_fake[0][member] > 0.5))


def test_of_few_images_and_without_the_other_class_only_the_share_is_scored() -> None:
    labels, p_fake, groups = drawn(fake=57)
    small = group_scores(labels, p_fake, groups == "a")
    assert (small.images, small.large) == (19, False)
    assert (small.balanced, small.auc, small.average_precision) == (None, None, None)
    alone = group_scores(labels[:57], [seed[:57] for seed in p_fake], np.ones(57, bool))
    assert (alone.images, alone.large, alone.balanced) == (57, True, None)


def test_the_worst_generator_has_the_smallest_balanced_accuracy_against_all_real() -> None:
    labels, (p_fake, _), groups = drawn()
    codes = np.where(groups == "", -1, np.searchsorted(["a", "b", "c"], groups))
    each = [one.balanced.value for one in scores_by_group(labels, [p_fake], groups).values() if one.balanced]
    assert worst_group(labels, p_fake, codes) == pytest.approx(min(each))
    assert worst_group(labels, p_fake, np.where(codes == 2, -1, codes)) == pytest.approx(min(each[:2]))


def test_mean_spread_and_minimum_over_groups() -> None:
    found = summary([0.5, 0.7, 0.9])
    assert (found.mean, found.spread, found.minimum) == (pytest.approx(0.7), pytest.approx(0.2), 0.5)
    assert math.isnan(summary([0.5]).spread)
    assert math.isnan(summary([]).minimum)
