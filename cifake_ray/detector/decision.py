"""The decision rule, the same everywhere: FAKE where p(FAKE) of the uncalibrated model is above 0.5."""

import numpy as np

from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import ClassScores, Interval, Threshold
from cifake_ray.stats.classification import accuracy, auc
from cifake_ray.stats.intervals import wilson

DECISION = 0.5
NOTE = Threshold(value=DECISION, chosen_on="fixed")  # beside scores; version 0.1 chose the threshold on validation


def scores(labels: np.ndarray, p_fake: np.ndarray) -> ClassScores:
    """Accuracy (95 % Wilson interval), the share of each class that is judged right, and AUC; positive class FAKE.

    labels: uint8 [n], 0 FAKE; p_fake: float [n]. None where the set lacks images: the AUC of one class, the share of
    an absent class.
    """
    fake, called = labels == 0, p_fake > DECISION
    right = accuracy(labels, p_fake)
    low, high = wilson(right, len(labels))
    return ClassScores(
        images=len(labels),
        accuracy=Interval(value=right, low=low, high=high),
        auc=auc(labels, p_fake) if fake.any() and (~fake).any() else None,
        recognised_fake=float(called[fake].mean()) if fake.any() else None,
        recognised_real=float((~called[~fake]).mean()) if (~fake).any() else None,
    )


def only_answer(p_fake: np.ndarray) -> str | None:
    """The label that a model assigns to every image; None when the model assigns both."""
    called = p_fake > DECISION
    return None if called.any() and not called.all() else LABELS[0 if called.all() else 1]
