"""Risk and coverage against counts made by hand and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import zero_one_loss

from cifake_ray.stats.intervals import wilson
from cifake_ray.stats.selective import risk_and_coverage


def test_risk_is_the_loss_on_what_is_answered() -> None:
    rng = np.random.default_rng(0)
    labels, answers, answered = rng.integers(0, 2, 500), rng.integers(0, 2, 500), rng.random(500) < 0.6
    right = (labels == answers) & answered
    wrong = (labels != answers) & answered
    found = risk_and_coverage(int(right.sum()), int(wrong.sum()), int((~answered).sum()))
    assert found.coverage.value == pytest.approx(answered.mean())
    assert found.risk is not None
    assert found.risk.value == pytest.approx(zero_one_loss(labels[answered], answers[answered]))
    assert (found.risk.low, found.risk.high) == wilson(found.risk.value, int(answered.sum()))
    assert (found.coverage.low, found.coverage.high) == wilson(found.coverage.value, 500)


def test_without_an_answer_there_is_no_risk() -> None:
    found = risk_and_coverage(0, 0, 30)
    assert found.risk is None
    assert found.coverage.value == 0.0
