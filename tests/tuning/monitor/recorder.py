"""A StudyCallback that writes down what it is called with."""

from collections.abc import Mapping
from typing import Any

from cifake_ray.tuning.monitor.callback import RunningTrial, StudyCallback, StudyEnd


class Recorder(StudyCallback):
    """Every call but step_ended, in order, as a tuple of the event and what tells it apart."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.params: dict[str, Mapping[str, Any]] = {}
        self.metrics: list[Mapping[str, float]] = []

    def trial_started(self, trial: RunningTrial) -> None:
        self.calls.append(("started", trial.name))
        self.params[trial.name] = trial.params

    def epoch_reported(self, trial: RunningTrial, epoch: int, metrics: Mapping[str, float]) -> None:
        self.calls.append(("epoch", trial.name, epoch, round(metrics["val_accuracy"], 6)))
        self.metrics.append(metrics)

    def process_died(self, trial: RunningTrial) -> None:
        self.calls.append(("died", trial.name))

    def trial_ended(self, trial: RunningTrial, status: str, reason: str) -> None:
        self.calls.append(("ended", trial.name, status, reason))

    def search_ended(self, retrainings: int) -> None:
        self.calls.append(("search ended", retrainings))

    def study_ended(self, end: StudyEnd) -> None:
        self.calls.append(("study ended", end.outcome, end.winner.trial_id if end.winner else None))
