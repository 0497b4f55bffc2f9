"""Test metrics with 95 % intervals. The positive class is FAKE; probabilities are of FAKE."""

from collections.abc import Iterator, Sequence

import numpy as np

from cifake_ray.errors import InputError
from cifake_ray.runs.records import Interval, Scores
from cifake_ray.stats.classification import (
    ECE_BINS,
    accuracy,
    auc,
    balanced_accuracy,
    confidences,
    expected_calibration_error,
    f1_fake,
)
from cifake_ray.stats.intervals import wilson

RESAMPLES = 1000
_CHUNK = 50  # resamples at a time: 50 x 20,000 weights of 4 bytes stay in the processor's cache
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
        raise InputError("test part: every image of it equals a train image, so none is left to test on; give others")
    values = [_point(labels, seed) for seed in p_fake]
    resampled = [_resample(labels, seed) for seed in p_fake]
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


def _resample(labels: np.ndarray, p_fake: np.ndarray) -> dict[str, np.ndarray]:
    """AUC, F1 and ECE [resamples] under Poisson weights, which are the same for every model of these labels."""
    fake, predicted = labels == 0, p_fake > 0.5
    confidence, correct, bins = confidences(labels, p_fake)
    one_hot = np.eye(ECE_BINS, dtype=np.float32)[bins]
    counts = np.stack((fake & predicted, fake != predicted, fake, ~fake & ~predicted), axis=1)
    columns = np.concatenate((counts, one_hot * (correct - confidence)[:, None]), axis=1).astype(np.float32)
    order = np.argsort(p_fake, kind="stable")
    starts = np.flatnonzero(np.diff(p_fake[order], prepend=-1.0))  # equal scores share a group: half a win each
    draws: dict[str, list[np.ndarray]] = {"balanced_accuracy": [], "auc": [], "f1_fake": [], "ece": []}
    for weights in _poisson_weights(len(labels)):
        sums, total = weights @ columns, weights.sum(1)
        classes = np.stack((sums[:, 2], total - sums[:, 2]))
        recalled = (sums[:, (0, 3)].T / np.maximum(classes, 1e-9)).sum(0)
        draws["balanced_accuracy"].append(recalled / np.maximum((classes > 0).sum(0), 1))
        draws["f1_fake"].append(2 * sums[:, 0] / np.maximum(2 * sums[:, 0] + sums[:, 1], 1e-9))
        draws["ece"].append(np.abs(sums[:, 4:]).sum(1) / np.maximum(total, 1))
        ranked = weights[:, order]
        positive = np.add.reduceat(ranked * fake[order], starts, axis=1)
        negative = np.add.reduceat(ranked * ~fake[order], starts, axis=1)
        below = np.cumsum(negative, axis=1, dtype=np.float64) - negative / 2
        pairs = positive.sum(1, dtype=np.float64) * negative.sum(1, dtype=np.float64)
        draws["auc"].append(np.where(pairs > 0, (positive * below).sum(1) / np.maximum(pairs, 1e-9), 0.5))
    return {key: np.concatenate(parts) for key, parts in draws.items()}


def _poisson_weights(images: int) -> Iterator[np.ndarray]:
    """float32 [50, images] at a time, 1,000 rows in all, the same at every call."""
    generator = np.random.default_rng(0)
    for _ in range(RESAMPLES // _CHUNK):
        yield generator.poisson(1.0, (_CHUNK, images)).astype(np.float32)
