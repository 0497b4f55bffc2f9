"""The threshold that validation fixes: the best one, 0.5 where that is as good, and kept beside the model."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from cifake_ray.data import load_images
from cifake_ray.evaluation.detector import load_detector
from cifake_ray.evaluation.threshold import accuracy_at, best_threshold, fixed_threshold, scores_at
from cifake_ray.run import Run


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_is_more_accurate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 60).astype(np.uint8)
    p_fake = np.round(np.clip(0.3 + 0.4 * (labels == 0) + rng.normal(0, 0.25, 60), 0, 1), 2).astype(np.float32)
    reached = accuracy_at(labels, p_fake, best_threshold(labels, p_fake))
    assert reached == max(accuracy_at(labels, p_fake, cut) for cut in np.linspace(-0.001, 1, 2003))


def test_half_is_kept_where_it_is_as_good_as_any() -> None:
    labels = np.array([0, 0, 1, 1], np.uint8)
    assert best_threshold(labels, np.array([0.95, 0.9, 0.2, 0.1])) == 0.5
    assert best_threshold(labels, np.array([0.45, 0.4, 0.2, 0.1])) == pytest.approx(0.3)


def test_scores_of_one_class_alone_have_no_auc() -> None:
    scores = scores_at(np.zeros(4, np.uint8), np.array([0.9, 0.8, 0.7, 0.1]), 0.5)
    assert scores["auc"] is None
    assert scores["recognised_REAL"] is None
    assert scores["recognised_FAKE"] == scores["accuracy"]["value"] == 0.75
    json.dumps(scores, allow_nan=False)


@pytest.mark.parametrize("kind", ["cnn", "resnet50"])
def test_threshold_is_measured_once_on_validation_images(copy_of: Callable[..., Run], kind: str) -> None:
    run = copy_of(kind, scored=True)
    images, detector = load_images("sample", limit=200), load_detector(run)
    found = fixed_threshold(run, detector, images)
    assert found["images"] == 40
    assert found["accuracy"] >= found["at_half"]
    (run.best / "threshold.json").write_text(json.dumps(found | {"value": 0.25}))
    assert fixed_threshold(run, detector, images)["value"] == 0.25
