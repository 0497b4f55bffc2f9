"""Test metrics with 95 % intervals. The positive class is FAKE; probabilities are of FAKE."""

from collections.abc import Sequence

import numpy as np

from cifake_ray.errors import InputError
from cifake_ray.runs.records import Interval, Scores
from cifake_ray.stats.bootstrap import RESAMPLES, resampled_scores
from cifake_ray.stats.calibration import ECE_BINS, expected_calibration_error
from cifake_ray.stats.classification import accuracy, auc, balanced_accuracy, f1_fake
from cifake_ray.stats.intervals import wilson

METHOD = (
    "95 % intervals: Wilson score for accuracy (mean over seeds, on the number of test images); for balanced accuracy, "
    f"AUC, F1 and ECE the 2.5 and 97.5 percentiles of {RESAMPLES:,} Poisson bootstrap resamples of the test images, "
    "seeds averaged. AUC and F1 take FAKE as the positive class, at probability 0.5; "
    f"ECE uses {ECE_BINS} equal bins of the confidence."
)


def score_seeds(labels: np.ndarray, p_fake: Sequence[np.ndarray]) -> tuple[list[Scores], Scores]:
    """Metrics of each seed's predictions and of their mean, each with its interval.

    labels: uint8 [n], 0 = FAKE, 1 = REAL; p_fake: one float [n] a seed. Raises InputError for no image at all.
    """
    if not len(labels):
        raise InputError("test part: every image of it equals a train image, so none is left to test on", "give others")
    values = [_point(labels, seed) for seed in p_fake]
    resampled = [resampled_scores(labels, seed) for seed in p_fake]
    mean = {key: float(np.mean([value[key] for value in values])) for key in values[0]}
    mean_resampled = {key: np.mean([draws[key] for draws in resampled], axis=0) for key in resampled[0]}
    each = [_with_interval(value, draws, len(labels)) for value, draws in zip(values, resampled, strict=True)]
    return each, _with_interval(mean, mean_resampled, len(labels))


def _point(labels: np.ndarray, p_fake: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": accuracy(labels, p_fake),
        "balanced_accuracy": balanced_accuracy(labels, p_fake),
        "auc": auc(labels, p_fake),
        "f1_fake": f1_fake(labels, p_fake),
        "ece": expected_calibration_error(labels, p_fake),
    }


def _with_interval(values: dict[str, float], draws: dict[str, np.ndarray], images: int) -> Scores:
    bounds = {key: np.percentile(draws[key], (2.5, 97.5)).tolist() for key in draws}
    bounds["accuracy"] = wilson(values["accuracy"], images)
    return Scores(
        **{key: Interval(value=value, low=bounds[key][0], high=bounds[key][1]) for key, value in values.items()}
    )
