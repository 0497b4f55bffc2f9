"""The generalisation verdict: what the gap between training and validation accuracy means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cifake_ray.stats.intervals import difference_interval

GAP_POINTS = 2.0  # a frozen backbone's head stays below it, a CNN without augmentation does not
LOW_TRAIN = 0.90  # the plainest published CIFAKE networks fit more than 92 % of their training images
RISE_POINTS = 0.5
TRAIN_CHECK_IMAGES = 10_000  # trials.csv measures train accuracy on at most so many images

NEITHER: Final = "no over- or underfitting"
VERDICT_RULE = (
    f"Overfitting: training accuracy is more than {GAP_POINTS:g} points above validation accuracy and the 95 % "
    f"interval of that gap excludes zero. Otherwise underfitting: training accuracy is below {100 * LOW_TRAIN:g} %, "
    f"or the last epoch was the best and raised validation accuracy by more than {RISE_POINTS:g} points, the interval "
    f"of that rise excluding zero. Otherwise {NEITHER}. A model that gives one answer to every test image, or "
    "whose test AUC is below 0.5, is described so instead."
)

Word = Literal[
    "overfitting", "underfitting", "no over- or underfitting", "unknown", "says FAKE only", "says REAL only",
    "worse than chance", "not judged",
]  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """The word, and the reason in plain words."""

    word: Word
    reason: str


def verdict(
    train: float, val: float, train_images: int | None, val_images: int | None, val_curve: Sequence[float] = ()
) -> Verdict:
    """Over-, underfitting or neither by VERDICT_RULE. Accuracies 0..1; `val_curve`: validation accuracy by epoch."""
    if math.isnan(train) or math.isnan(val):
        return Verdict("unknown", "training or validation accuracy is not measured yet")
    if not train_images or not val_images:
        return Verdict("unknown", "the number of images is not recorded")
    points = round(100 * (train - val), 6)  # rounded: 0.98 - 0.96 is a hair above 0.02 in binary
    chance = difference_interval(train, train_images, val, val_images)[0] <= 0
    if points > GAP_POINTS and not chance:
        return Verdict("overfitting", f"training accuracy is {points:.1f} points above validation accuracy")
    if train < LOW_TRAIN:
        return Verdict("underfitting", f"training accuracy is below {100 * LOW_TRAIN:.0f} %")
    if (rise := _last_rise(val_curve, val_images)) > RISE_POINTS:
        return Verdict("underfitting", f"the last epoch still raised validation accuracy by {rise:.1f} points")
    if points > GAP_POINTS:
        return Verdict(NEITHER, f"the gap of {points:.1f} points may be chance on so few images")
    return Verdict(NEITHER, f"the gap of {points:.1f} points is within {GAP_POINTS:g}")


def answer_verdict(answers: Sequence[str], auc: float, constant: float) -> Verdict | None:
    """What a model's test answers say before any gap counts: one answer only, or an order worse than chance.

    answers: the labels that it gives; constant: share of the larger class of the test images, 0..1.
    """
    if len(answers) == 1:
        only: Word = "says FAKE only" if answers[0] == "FAKE" else "says REAL only"
        return Verdict(
            only, f"every test image is called {answers[0]}; the larger class is {100 * constant:.2f} % of them"
        )
    if auc < 0.5:
        return Verdict("worse than chance", f"test AUC is {auc:.4f}; guessing gives 0.5")
    return None


def _last_rise(curve: Sequence[float], images: int) -> float:
    """Points by which the last epoch, being the best, rose above the one before; 0 where that may be chance."""
    if len(curve) < 2 or math.isnan(curve[-1] + curve[-2]) or curve[-1] < max(c for c in curve if not math.isnan(c)):
        return 0.0
    beyond_chance = difference_interval(curve[-1], images, curve[-2], images)[0] > 0
    return round(100 * (curve[-1] - curve[-2]), 6) if beyond_chance else 0.0
