"""Scores of predictions, as several records hold them. Every share and accuracy is 0..1; the positive class is FAKE."""

import math

from pydantic import Field

from cifake_ray.runs.records.base import Number, Record
from cifake_ray.runs.records.decision import VerdictRow


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


class _Degradation(Record):
    kind: str = ""
    strength: Number | None = None
    name: str = ""


class RobustnessRow(ClassScores, _Degradation):
    """Scores on test images of one kind: `clean`, degraded in one way, of subjects that were `left out`, or `seen`.

    verdicts: by the rule in best/; none of a model without one.
    """

    verdicts: list[VerdictRow] = []
