"""The Poisson bootstrap over test images: scores of 1,000 resamples."""

from collections.abc import Iterator

import numpy as np

from cifake_ray.stats.calibration import ECE_BINS, confidences

RESAMPLES = 1000
_CHUNK = 50  # resamples at a time: 50 x 20,000 weights of 4 bytes stay in the processor's cache


def resampled_scores(labels: np.ndarray, p_fake: np.ndarray) -> dict[str, np.ndarray]:
    """Balanced accuracy, AUC, F1 of FAKE and ECE of each resample: float [1,000] by name.

    labels: uint8 [n], 0 FAKE, 1 REAL; p_fake: float [n]. Every image counts as often as a Poisson number says, which is
    the same for every model of these labels: Chamandy et al. (2012), "Estimating uncertainty for massive data streams",
    Google technical report; percentiles of the resamples are limits by Efron (1979), Annals of Statistics 7, 1-26.
    """
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
