"""Ray Tune's callback, turned into calls of StudyCallback."""

from collections.abc import Mapping
from typing import Any, get_args

import ray
from ray import tune

from cifake_ray.experiment import SecondObjective
from cifake_ray.runs.columns import CURVE_COLUMNS, Status
from cifake_ray.tuning.monitor.callback import RunningTrial, StudyCallback
from cifake_ray.tuning.monitor.stopping import StudyStopped
from cifake_ray.tuning.record import StudyRecord

_STOP_SECONDS = 180.0  # for the workers of running trials to finish their epoch
_METRICS = (*CURVE_COLUMNS[2:], *get_args(SecondObjective))  # of what a trial reports; the rest is Tune's


class TuneAdapter(tune.Callback):  # type: ignore[misc]
    """Calls `callback` while Tune's trials run, and ends their processes when it raises StudyStopped.

    Tune calls the searcher first, so that the record knows how a trial ended when this callback is called.
    """

    def __init__(self, record: StudyRecord, callback: StudyCallback) -> None:
        self.record, self.callback = record, callback
        self.live: dict[str, RunningTrial] = {}  # by Tune's name

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks; this one lives and ends with the process

    def on_trial_start(self, trial: Any, **info: Any) -> None:  # noqa: ARG002
        self._started(trial)

    def on_trial_result(self, trial: Any, result: dict[str, Any], **info: Any) -> None:  # noqa: ARG002
        if "storage" in result:
            self.record.fault = self.record.fault or str(result["storage"])
        if "val_accuracy" in result:
            metrics = {name: result[name] for name in _METRICS if name in result}
            self.callback.epoch_reported(self._started(trial), int(result["epoch"]), metrics)

    def on_trial_recover(self, trial: Any, **info: Any) -> None:  # noqa: ARG002
        self.callback.process_died(self._started(trial))
        del self.live[trial.trial_id]

    def on_trial_complete(self, trial: Any, **info: Any) -> None:  # noqa: ARG002
        self._ended(trial, trial.last_result)

    def on_trial_error(self, trial: Any, **info: Any) -> None:  # noqa: ARG002
        self._ended(trial, {"failed": "its process died"})

    def on_step_end(self, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        self.record.flush()
        try:
            self.callback.step_ended()
        except StudyStopped as stop:
            actors = [actor for trial in trials if (actor := trial.temporary_state.ray_actor) is not None]
            self._end_processes(actors, str(stop))
            raise

    def interrupt_live(self) -> None:
        """Report the end of what still runs, after Tune's loop was left."""
        while self.live:
            _, running = self.live.popitem()
            self.callback.trial_ended(running, "interrupted", "")

    def _started(self, trial: Any) -> RunningTrial:
        """The trial as callbacks see it, reported as started once, even if Tune reports a failure first."""
        if trial.trial_id not in self.live:
            self.live[trial.trial_id] = running = RunningTrial.of(trial)
            self.callback.trial_started(running)
        return self.live[trial.trial_id]

    def _ended(self, trial: Any, result: Mapping[str, Any]) -> None:
        running = self._started(trial)
        del self.live[trial.trial_id]
        self.callback.trial_ended(running, *self._outcome(running, result))

    def _outcome(self, running: RunningTrial, result: Mapping[str, Any]) -> tuple[Status, str]:
        """Status and reason: of a trial as the record has them, of a retraining from its last report."""
        if running.trial_id is not None:
            row = self.record.rows[running.trial_id]
            return ("interrupted" if row.status == "running" else row.status), row.error
        if "storage" in result:
            return "interrupted", ""
        return ("failed", str(result["failed"])) if "failed" in result else ("completed", "")

    def _end_processes(self, actors: list[Any], reason: str) -> None:
        """Save first, as a Ray job has 3 s after SIGTERM. Then end the processes, which else train to their next epoch.

        If the study continues with its winners, the trials' workers must leave their slots; a signal ends Ray anyway.
        """
        self.record.interrupt()
        if self.record.experiment.resources.workers_per_trial and reason != "interrupted":
            ray.wait([actor.stop.remote() for actor in actors], num_returns=len(actors), timeout=_STOP_SECONDS)
        for actor in actors:
            ray.kill(actor)
