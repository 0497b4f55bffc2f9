"""The probability above which a run's best model says FAKE, fixed on validation images and kept beside the model."""

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from cifake_ray.data import ImageSet, split_train
from cifake_ray.evaluation.detector import Detector
from cifake_ray.evaluation.metrics import wilson
from cifake_ray.run import LABELS, Run, write_json


def fixed_threshold(run: Run, detector: Detector, images: ImageSet) -> dict[str, Any]:
    """`value`, and the validation `accuracy` with it and `at_half`; from `best/threshold.json`, else measured into it.

    images: the run's own. Degraded or foreign images are judged by this threshold: fitting it to them would hide what
    they do to the detector.
    """
    file = run.threshold_file
    if noted := run.read_json(file):
        return noted
    data = run.experiment().data
    chosen = split_train(images.train, data.val_fraction, data.split_seed, data.leave_out).validation
    labels = images.train.labels[chosen]
    if detector.frozen is None:
        p_fake = detector.p_fake(images.train.images[chosen])
    else:  # features of the whole part are in the cache
        p_fake = detector.p_fake_of_part(images.train)[chosen]
    value = best_threshold(labels, p_fake)
    measured = {
        "schema": 1, "value": value, "chosen_on": "validation", "images": len(chosen),
        "accuracy": accuracy_at(labels, p_fake, value), "at_half": accuracy_at(labels, p_fake, 0.5),
    }  # fmt: skip
    write_json(file, measured)
    return measured


def best_threshold(labels: np.ndarray, p_fake: np.ndarray) -> float:
    """The threshold of highest accuracy, of equals the one nearest to 0.5. labels: uint8 [n], 0 FAKE; p_fake [n]."""
    order = np.argsort(p_fake, kind="stable")
    scores, fake = p_fake[order].astype(np.float64), labels[order] == 0
    correct = np.concatenate(([0], np.cumsum(~fake))) + fake.sum() - np.concatenate(([0], np.cumsum(fake)))
    cuts = np.concatenate(([0.0], (scores[1:] + scores[:-1]) / 2, [1.0]))
    apart = np.concatenate(([True], scores[1:] > scores[:-1], [True]))  # no cut runs between equal scores
    if not len(scores):
        return 0.5
    best = cuts[apart & (correct == correct[apart].max())]
    lows, highs = _spans(scores, best)
    inside = (lows < 0.5) & (highs > 0.5)
    return 0.5 if inside.any() else float(best[np.argmin(np.abs(best - 0.5))])


def _spans(scores: np.ndarray, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The neighbouring scores of each cut, all between which decides alike."""
    places = np.searchsorted(scores, cuts, side="right")
    padded = np.concatenate(([-np.inf], scores, [np.inf]))
    return padded[places], padded[places + 1]


def accuracy_at(labels: np.ndarray, p_fake: np.ndarray, threshold: float) -> float:
    return float(((p_fake > threshold) == (labels == 0)).mean())


def scores_at(labels: np.ndarray, p_fake: np.ndarray, threshold: float) -> dict[str, Any]:
    """Accuracy (95 % Wilson interval), the share of each class that is recognised, and AUC; positive class FAKE.

    What a set has no image of is None: the AUC of one class, the share of a class that is not there.
    """
    fake, called = labels == 0, p_fake > threshold
    accuracy = float((fake == called).mean())
    low, high = wilson(accuracy, len(labels))
    shares = (
        float(called[fake].mean()) if fake.any() else None,
        float((~called[~fake]).mean()) if (~fake).any() else None,
    )
    return {
        "images": len(labels),
        "accuracy": {"value": accuracy, "low": low, "high": high},
        "auc": float(roc_auc_score(fake, p_fake)) if fake.any() and (~fake).any() else None,
        **dict(zip((f"recognised_{label}" for label in LABELS), shares, strict=True)),
    }
