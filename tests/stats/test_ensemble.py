"""Greedy ensemble selection, in cases whose answer is known."""

import numpy as np
import pytest

from cifake_ray.stats.ensemble import greedy_selection

LABELS = np.array([0, 0, 0, 1, 1, 1])


def right(logits: np.ndarray) -> tuple[float, ...]:
    """The share of six pictures that the logits of FAKE judge rightly, then minus the log loss."""
    signed = np.where(LABELS == 0, logits, -logits)
    return float((signed > 0).mean()), -float(np.logaddexp(0, -signed).mean())


def test_models_that_err_differently_are_averaged() -> None:
    first = np.array([3.0, 3.0, -1.0, -3.0, -3.0, -3.0])  # wrong about the third picture
    second = np.array([-1.0, 3.0, 3.0, -3.0, -3.0, -3.0])  # wrong about the first
    found = greedy_selection([first, second], right)
    assert found.counts == (1, 1)
    assert found.weights == (0.5, 0.5)
    assert found.score[0] == 1.0


def test_a_model_that_only_harms_is_left_out_and_the_first_best_average_is_kept() -> None:
    good = np.array([2.0, 2.0, 2.0, -2.0, -2.0, -2.0])
    found = greedy_selection([-good, good], right)
    assert found.counts == (0, 1)
    assert found.score == right(good)


def test_a_model_may_be_taken_several_times() -> None:
    strong = np.array([1.0, 1.0, 1.0, -1.0, -1.0, 0.5])
    weak = np.array([-1.5, 1.0, 1.0, -1.0, -1.0, -1.5])
    found = greedy_selection([strong, weak], lambda logits: right(logits)[:1])
    assert found.counts == (2, 1)
    assert found.score == (1.0,)


def test_of_equal_models_the_first_is_taken() -> None:
    one = np.array([1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    assert greedy_selection([one, one.copy()], right).counts == (1, 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_average_is_at_least_as_good_as_each_model_and_each_pair_with_the_best(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth = np.where(LABELS == 0, 1.0, -1.0)
    models = [truth + draw.normal(0, 1.5, 6) for _ in range(4)]
    alone = [right(model) for model in models]
    best = max(range(4), key=lambda at: alone[at])
    pairs = [right((models[best] + model) / 2) for model in models]
    assert greedy_selection(models, right).score >= max(*alone, *pairs)


def test_the_score_is_that_of_the_weighted_average() -> None:
    draw = np.random.default_rng(9)
    models = [draw.normal(0, 2, 6) + np.where(LABELS == 0, 1, -1) for _ in range(3)]
    found = greedy_selection(models, right, rounds=9)
    average = sum(weight * model for weight, model in zip(found.weights, models, strict=True))
    assert right(np.asarray(average)) == pytest.approx(found.score)
    assert sum(found.weights) == pytest.approx(1.0)
