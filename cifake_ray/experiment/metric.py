"""The figure that chooses epochs and configurations, with its direction and its form for people."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal


class Metric(StrEnum):
    """A figure of the validation part; its value is its name in YAML and its column in the tables of a run."""

    VAL_ACCURACY = "val_accuracy"
    VAL_LOSS = "val_loss"

    @property
    def mode(self) -> Literal["max", "min"]:
        """Whether larger or smaller values are better, in the words of Ray Tune."""
        return "min" if self is Metric.VAL_LOSS else "max"

    @property
    def label(self) -> str:
        """`validation accuracy`, for sentences and axes."""
        return self.value.replace("val_", "validation ")

    @property
    def scale(self) -> float:
        """The factor from a value to the figure that people see: accuracies are shown in percent."""
        return 1.0 if self is Metric.VAL_LOSS else 100.0

    def shown(self, value: float | None) -> str:
        """An accuracy as `93.41 %`, a loss as `0.1834`; empty for None."""
        if value is None:
            return ""
        return f"{value:.4f}" if self is Metric.VAL_LOSS else f"{self.scale * value:.2f} %"

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
        """Why no study can reach the target, empty when one could."""
        if self is Metric.VAL_LOSS:
            return "" if 0 < target < 100 else "a loss lies between 0 and 100"
        return "" if 0 < target <= 1 else "an accuracy lies between 0 and 1"
