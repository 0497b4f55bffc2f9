"""The one way to follow a study: what a display, a gauge, a stop condition or a tracker is called with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cifake_ray.runs.columns import Status
from cifake_ray.tuning.record import TrialRow

Outcome = Literal["trials", "space exhausted", "time budget", "target", "interrupted", "storage", "failed"]


@dataclass(frozen=True)
class RunningTrial:
    """A trial of the search, or a retraining of the winner or the baseline.

    name: `7` or `tuned-trial7-seed1`, unique in the study. trial_id: None for a retraining. params: the values of the
    search space. handle: Ray Tune's own trial, for what must act on Tune.
    """

    name: str
    trial_id: int | None
    params: Mapping[str, Any]
    seed: int
    handle: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, trial: Any) -> "RunningTrial":
        """The trial as Ray Tune has it."""
        config = trial.config
        return cls(Path(config["folder"]).name, config["trial_id"], config["params"], config["seed"], trial)


@dataclass(frozen=True)
class StudyEnd:
    """Why a study ended; winner: the best trial so far, None before the first epoch of any.

    outcome: `trials` (all are done), `space exhausted`, `time budget` and `target` are ends in order; `interrupted` and
    `storage` can be resumed; `failed` is an error.
    """

    outcome: Outcome
    winner: TrialRow | None


class StudyCallback:
    """Follows a study: called in the driver's process while the study runs. A subclass overrides the methods it needs.

    Every trial_started is followed by a process_died (and then another trial_started) or a trial_ended. An exception in
    a method ends the study; raise in `step_ended`, as Ray Tune catches errors in trial_ended.
    """

    def trial_started(self, trial: RunningTrial) -> None:
        """A process of its own trains the trial from now on."""

    def epoch_reported(self, trial: RunningTrial, epoch: int, metrics: Mapping[str, float]) -> None:
        """The trial finished an epoch (1 = the first), or a resumed trial reports one again.

        metrics: the columns of curves.csv (losses in nats, accuracies as fractions, `seconds` wall) and, if the study
        has one, the second objective.
        """

    def process_died(self, trial: RunningTrial) -> None:
        """The trial's process died, and Ray Tune starts the trial again from its last epoch."""

    def trial_ended(self, trial: RunningTrial, status: Status, reason: str) -> None:
        """The trial completed, was stopped early, failed (`reason` says why), or is interrupted, to be resumed."""

    def search_ended(self, retrainings: int) -> None:
        """No trial is left to start; `retrainings` networks, perhaps none, are trained next."""

    def step_ended(self) -> None:
        """Ray Tune's loop took a step: called several times a second, also while nothing else happens."""

    def study_ended(self, end: StudyEnd) -> None:
        """Winner and baseline are retrained, or the study stopped before that. The test part follows."""


class Callbacks(StudyCallback):
    """Several callbacks as one, called in their order."""

    def __init__(self, callbacks: Sequence[StudyCallback]) -> None:
        self.callbacks = tuple(callbacks)

    def trial_started(self, trial: RunningTrial) -> None:
        for callback in self.callbacks:
            callback.trial_started(trial)

    def epoch_reported(self, trial: RunningTrial, epoch: int, metrics: Mapping[str, float]) -> None:
        for callback in self.callbacks:
            callback.epoch_reported(trial, epoch, metrics)

    def process_died(self, trial: RunningTrial) -> None:
        for callback in self.callbacks:
            callback.process_died(trial)

    def trial_ended(self, trial: RunningTrial, status: Status, reason: str) -> None:
        for callback in self.callbacks:
            callback.trial_ended(trial, status, reason)

    def search_ended(self, retrainings: int) -> None:
        for callback in self.callbacks:
            callback.search_ended(retrainings)

    def step_ended(self) -> None:
        for callback in self.callbacks:
            callback.step_ended()

    def study_ended(self, end: StudyEnd) -> None:
        for callback in self.callbacks:
            callback.study_ended(end)
