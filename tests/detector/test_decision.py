"""The decision rule and the scores that follow from it."""

import numpy as np
import pytest

from cifake_ray.detector.decision import only_answer, scores

LABELS = np.array([0, 0, 0, 1], np.uint8)


def test_scores_are_shares_of_what_is_judged_right() -> None:
    found = scores(LABELS, np.array([0.9, 0.8, 0.2, 0.1]))
    assert found.accuracy.value == 0.75
    assert found.accuracy.low < 0.75 < found.accuracy.high
    assert found.recognised_fake == pytest.approx(2 / 3)
    assert found.recognised_real == 1.0
    assert found.auc == 1.0


def test_a_set_of_one_class_has_no_auc_and_no_share_of_the_other() -> None:
    found = scores(np.zeros(2, np.uint8), np.array([0.9, 0.2]))
    assert found.auc is None
    assert found.recognised_real is None
    assert found.recognised_fake == 0.5


def test_one_half_is_judged_real() -> None:
    assert scores(LABELS, np.full(4, 0.5)).recognised_fake == 0.0


def test_a_model_with_one_answer_is_named() -> None:
    assert only_answer(np.array([0.6, 0.9])) == "FAKE"
    assert only_answer(np.array([0.5, 0.1])) == "REAL"
    assert only_answer(np.array([0.6, 0.1])) is None
