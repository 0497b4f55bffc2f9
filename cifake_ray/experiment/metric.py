"""The figure that chooses epochs and configurations, with its direction and its form for people."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, NamedTuple


class _Form(NamedTuple):
    """`label`: for sentences and axes; `unit`: "%" of shares that people read in percent, "nats", or "".

    `what`: a value in words, for the refusal of a target outside `limits`.
    """

    label: str
    unit: str
    what: str
    mode: Literal["max", "min"] = "max"
    limits: tuple[float, float] = (0.0, 1.0)


class Metric(StrEnum):
    """A figure of the validation part; its value is its name in YAML and its column in the tables of a run."""

    VAL_ACCURACY = "val_accuracy"
    VAL_LOSS = "val_loss"
    VAL_BALANCED_ACCURACY = "val_balanced_accuracy"
    VAL_AUC = "val_auc"
    VAL_WORST_GROUP = "val_worst_group"
    VAL_DEGRADED = "val_degraded"

    @property
    def mode(self) -> Literal["max", "min"]:
        """Whether larger or smaller values are better, in the words of Ray Tune."""
        return _FORMS[self].mode

    @property
    def label(self) -> str:
        """`validation accuracy`, for sentences and axes."""
        return _FORMS[self].label

    @property
    def axis(self) -> str:
        """The label with its unit, for an axis: `validation accuracy (%)`."""
        unit = _FORMS[self].unit
        return f"{self.label} ({unit})" if unit else self.label

    @property
    def scale(self) -> float:
        """The factor from a value to the figure that people see: accuracies are shown in percent."""
        return 100.0 if _FORMS[self].unit == "%" else 1.0

    @property
    def in_every_table(self) -> bool:
        """Whether trials.csv and curves.csv have the column whatever the study chooses by, since version 0.1."""
        return self in (Metric.VAL_ACCURACY, Metric.VAL_LOSS)

    @property
    def by_generator(self) -> bool:
        """Whether the figure needs the generators of the validation pictures."""
        return self is Metric.VAL_WORST_GROUP

    @property
    def on_degraded(self) -> bool:
        """Whether the figure is of degraded validation pictures, which are held besides the pictures themselves."""
        return self is Metric.VAL_DEGRADED

    def shown(self, value: float | None) -> str:
        """An accuracy as `93.41 %`, a loss as `0.1834`; empty for None."""
        if value is None:
            return ""
        return f"{self.scale * value:.2f} %" if _FORMS[self].unit == "%" else f"{value:.4f}"

    def score(self, value: float) -> float:
        """The value, or its negative: larger is better, whatever the metric."""
        return value if self.mode == "max" else -value

    def better(self, value: float, other: float) -> bool:
        """Whether `value` is better than `other`; no value is better than its equal."""
        return self.score(value) > self.score(other)

    def reached(self, value: float, target: float) -> bool:
        """Whether `value` is as good as `target`, or better."""
        return not self.better(target, value)

    def best(self, values: Iterable[float]) -> float:
        """The best of the values. Raises ValueError when there is none."""
        return max(values, key=self.score)

    def impossible(self, target: float) -> str:
        """Why no study can reach the target, empty when one could. A share of 1 and a loss below 100 can be reached."""
        form = _FORMS[self]
        low, high = form.limits
        possible = low < target < high or (self.mode == "max" and target == high)
        return "" if possible else f"{form.what} lies between {low:g} and {high:g}"


_FORMS = {
    Metric.VAL_ACCURACY: _Form("validation accuracy", "%", "an accuracy"),
    Metric.VAL_LOSS: _Form("validation loss", "nats", "a loss", "min", (0.0, 100.0)),
    Metric.VAL_BALANCED_ACCURACY: _Form("balanced validation accuracy", "%", "an accuracy"),
    Metric.VAL_AUC: _Form("validation AUC", "", "an AUC"),
    Metric.VAL_WORST_GROUP: _Form("validation accuracy, worst generator", "%", "an accuracy"),
    Metric.VAL_DEGRADED: _Form("validation accuracy, degraded", "%", "an accuracy"),
}
