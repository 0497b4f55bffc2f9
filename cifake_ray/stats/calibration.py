"""How far stated probabilities of FAKE agree with how often images are FAKE."""

import numpy as np

ECE_BINS = 15  # Guo et al. 2017, "On calibration of modern neural networks", section 3


def expected_calibration_error(labels: np.ndarray, p_fake: np.ndarray) -> float:
    """Mean distance between confidence and accuracy over 15 equal bins of the confidence, weighted by images."""
    confidence, correct, bins = confidences(labels, p_fake)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def confidences(labels: np.ndarray, p_fake: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of the predicted class, whether it is right (0 or 1), and its bin over 0..1; each [n]."""
    confidence = np.maximum(p_fake, 1 - p_fake)
    correct = ((p_fake > 0.5) == (labels == 0)).astype(np.float64)
    return confidence, correct, np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)


def reliability(labels: np.ndarray, p_fake: np.ndarray, bins: int, fewest: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean stated probability of FAKE, and the share that is FAKE, in equal bins of the former; float [at most bins].

    Bins of fewer than `fewest` images are left out. DeGroot and Fienberg (1983), "The comparison and evaluation of
    forecasters", The Statistician 32, 12-22.
    """
    which = np.minimum((p_fake * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    kept = counts >= fewest
    stated, found = (
        np.bincount(which, weights=values, minlength=bins)[kept] / counts[kept] for values in (p_fake, labels == 0)
    )
    return stated, found


def log_loss(labels: np.ndarray, p_fake: np.ndarray) -> float:
    """Mean negative logarithm (nats) of the probability that was stated for what an image is; labels: 0 FAKE, 1 REAL.

    I. J. Good (1952), "Rational decisions", J. Royal Stat. Soc. B 14, 107-114. A probability of 0 counts as the least
    one that float64 tells from 1.
    """
    stated = np.where(labels == 0, p_fake, 1 - np.asarray(p_fake, np.float64))
    return float(-np.log(np.maximum(stated, np.finfo(np.float64).eps)).mean())
