"""Scores of predictions, as several records hold them. Every share and accuracy is 0..1; the positive class is FAKE."""

import math

from pydantic import Field

from cifake_ray.runs.records.base import Number, Record
from cifake_ray.runs.records.decision import VerdictRow
from cifake_ray.stats import intervals as stats
from cifake_ray.stats.groups import GroupScores
from cifake_ray.stats.intervals import FEWEST_IN_GROUP


class Interval(Record):
    """A figure with the limits of its 95 % interval; NaN where the file has none."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


class Scores(Record):
    """What predictions are worth. `f1_fake`: F1 of FAKE; `ece`: expected calibration error."""

    accuracy: Interval = Interval()
    balanced_accuracy: Interval = Interval()
    auc: Interval = Interval()
    f1_fake: Interval = Interval()
    ece: Interval = Interval()


class Threshold(Record):
    """The probability of FAKE above which an image is called FAKE; version 0.1 chose it on validation images.

    Also best/threshold.json, which version 0.1 wrote: `accuracy` and `at_half` are validation accuracies.
    """

    schema_version: int = Field(0, alias="schema")
    value: float = 0.5
    chosen_on: str = ""
    images: int | None = None
    accuracy: float | None = None
    at_half: float | None = None


class ClassScores(Record):
    """Scores at the threshold. `recognised_*`: share of the class that is judged right, None without such images."""

    images: int = 0
    accuracy: Interval = Interval()
    auc: float | None = None
    recognised_fake: float | None = Field(None, alias="recognised_FAKE")
    recognised_real: float | None = Field(None, alias="recognised_REAL")


class GroupRow(Record):
    """Images of one group (`value` of a group column), beside all images of the other class.

    `label`: their class, "" of both. `right`: share that is judged rightly. The others are not set for fewer than 20
    images, and without images of the other class.
    """

    column: str = ""
    value: str = ""
    label: str = ""
    images: int = 0
    right: Interval = Interval()
    balanced_accuracy: Interval = Interval()
    auc: float | None = None
    average_precision: float | None = None

    @classmethod
    def of(cls, column: str, value: str, label: str, scores: GroupScores) -> "GroupRow":
        """The scores of a group as they are recorded."""
        row = cls(column=column, value=value, label=label, images=scores.images, right=_interval(scores.right))
        if scores.balanced is None:
            return row
        precision, balanced = scores.average_precision, _interval(scores.balanced)
        return row.updated(cls(balanced_accuracy=balanced, auc=scores.auc, average_precision=precision))

    @property
    def large(self) -> bool:
        """Whether the group has images enough for a value beside its interval."""
        return self.images >= FEWEST_IN_GROUP


def _interval(found: stats.Interval) -> Interval:
    return Interval(value=found.value, low=found.low, high=found.high)


class _Degradation(Record):
    kind: str = ""
    strength: Number | None = None
    name: str = ""


TIER = "delivery"  # kind of a row


class RobustnessRow(ClassScores, _Degradation):
    """Scores on test images of one kind: `clean`, degraded in one way, as handed on in a tier (`delivery`), of subjects
    that were `left out`, or `seen`.

    verdicts: by the rule in best/; none of a model without one.
    """

    verdicts: list[VerdictRow] = []
