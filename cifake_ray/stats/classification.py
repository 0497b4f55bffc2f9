"""Scores of a two-class model at probability 0.5. The positive class is FAKE (label 0); probabilities are of FAKE."""

import numpy as np


def accuracy(labels: np.ndarray, p_fake: np.ndarray) -> float:
    """Share judged rightly, 0..1. labels: uint8 [n], 0 FAKE, 1 REAL; p_fake: float [n]."""
    return float(((p_fake > 0.5) == (labels == 0)).mean())


def balanced_accuracy(labels: np.ndarray, p_fake: np.ndarray) -> float:
    """Mean of the shares of each class that are judged rightly, 0..1; of the only class where there is one.

    Brodersen et al. (2010), "The balanced accuracy and its posterior distribution", ICPR, 3121-3124.
    """
    right = (p_fake > 0.5) == (labels == 0)
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def auc(labels: np.ndarray, p_fake: np.ndarray) -> float:
    """Area under the ROC curve: the share of pairs (FAKE, REAL) in the right order, ties half; 0.5 of one class alone.

    Mann and Whitney (1947), Annals of Mathematical Statistics 18, 50-60.
    """
    fake = labels == 0
    positive, negative = int(fake.sum()), int((~fake).sum())
    if not positive or not negative:
        return 0.5
    wins = _ranks(p_fake)[fake].sum() - positive * (positive + 1) / 2
    return float(wins / (positive * negative))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks 1 to n, ties with the mean of their ranks: float64 [n]. SciPy's `rankdata`, whose import takes 0.4 s."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def average_precision(labels: np.ndarray, p_fake: np.ndarray) -> float:
    """Area under precision over recall of FAKE, as a sum of steps; NaN where no image is FAKE.

    Manning, Raghavan and Schütze (2008), "Introduction to information retrieval", chapter 8.4; images of equal
    probability are called together.
    """
    fake = int((labels == 0).sum())
    if not fake:
        return float("nan")
    order = np.argsort(-p_fake, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(p_fake[order]) < 0, True))
    found = np.cumsum(labels[order] == 0)[ends]
    return float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / fake)


def f1_fake(labels: np.ndarray, p_fake: np.ndarray) -> float:
    """F1 of FAKE: 2 TP / (2 TP + FP + FN); 0 where no image is FAKE and none is called so.

    C. J. van Rijsbergen (1979), "Information Retrieval", chapter 7.
    """
    fake, called = labels == 0, p_fake > 0.5
    twice, errors = 2 * int((fake & called).sum()), int((fake != called).sum())
    return twice / (twice + errors) if twice + errors else 0.0


def constant_accuracy(labels: np.ndarray) -> float:
    """Share of the larger class, 0..1: what a model reaches that gives one answer to everything."""
    return float(np.bincount(labels, minlength=2).max() / len(labels))


def confusion(labels: np.ndarray, p_fake: np.ndarray) -> np.ndarray:
    """Images by [actual, called] class in the order FAKE, REAL: int [2, 2].

    Kohavi and Provost (1998), "Glossary of terms", Machine Learning 30, 271-274.
    """
    called = np.where(p_fake > 0.5, 0, 1)
    table: np.ndarray = np.bincount(2 * labels.astype(int) + called, minlength=4).reshape(2, 2)
    return table


def roc_curve(labels: np.ndarray, p_fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of REAL called FAKE and of FAKE called FAKE at every threshold, strictest first: float [m] each.

    Fawcett (2006), "An introduction to ROC analysis", Pattern Recognition Letters 27, 861-874, algorithm 1: images of
    equal probability are called together.
    """
    order = np.argsort(-p_fake, kind="stable")
    fake, scores = labels[order] == 0, p_fake[order]
    ends = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))
    return np.cumsum(~fake)[ends] / max((~fake).sum(), 1), np.cumsum(fake)[ends] / max(fake.sum(), 1)
