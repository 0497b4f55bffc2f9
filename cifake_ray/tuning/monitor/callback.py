"""A study while it runs: what is shown, and what ends it early (budget, target, signal)."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import tune

from cifake_ray.experiment import Search
from cifake_ray.features import free_resources
from cifake_ray.patience import Patience
from cifake_ray.runs.resume import resume_command
from cifake_ray.signals import deferred
from cifake_ray.tuning.monitor.failures import ProcessFailures
from cifake_ray.tuning.monitor.gauges import StudyGauges
from cifake_ray.tuning.ray_cluster.capacity import trial_request
from cifake_ray.tuning.ray_cluster.shared_storage import SharedStorage
from cifake_ray.tuning.record import StudyRecord

_STOP_SECONDS = 180.0  # for the workers of running trials to finish their epoch


class StudyStopped(Exception):
    """Raised inside Tune's loop to leave it; Tune then frees what its trials hold, also those only asked for."""


@dataclass
class StopConditions:
    """Says when and why a study ends before its trials are done."""

    search: Search
    started: float = field(default_factory=time.monotonic)
    signalled: bool = False
    searching: bool = True  # budgets are the search's; a retraining ends at a signal only

    def reason(self, record: StudyRecord) -> str | None:
        """`interrupted`, `storage`, `time budget`, `target`, or None to continue."""
        if self.signalled:
            return "interrupted"
        if record.fault is not None:
            return "storage"
        if not self.searching:
            return None
        if self.search.time_budget_s is not None and time.monotonic() - self.started >= self.search.time_budget_s:
            return "time budget"
        if self.search.target is None:
            return None
        best = record.best()
        value = best.value(self.search.metric) if best else None
        if value is None:
            return None
        reached = value >= self.search.target if self.search.metric == "val_accuracy" else value <= self.search.target
        return "target" if reached else None

    def check_signal(self) -> None:
        """Before the first trial: raises StudyStopped after a signal."""
        if self.signalled:
            raise StudyStopped("interrupted")


@contextmanager
def catching_signals(guard: StopConditions) -> Iterator[None]:
    """SIGINT or SIGTERM once: end in order. Twice: end now (what was reported is on disk already)."""

    def note() -> None:
        guard.signalled = True
        print("stopping and saving; once more to stop now", file=sys.stderr, flush=True)

    with deferred(note):
        yield


class Shown(Protocol):
    """What shows a study while it runs; see `tuning.display`."""

    def update(self) -> None:
        """Show what changed."""

    def epoch(self, retraining: str = "", done: int = 0) -> None:
        """An epoch of a trial has ended, or of this retraining, which has `done` epochs now."""


class NoDisplay:
    """A display that shows nothing."""

    def update(self) -> None:
        """Nothing to show."""

    def epoch(self, retraining: str = "", done: int = 0) -> None:
        """Nothing to estimate."""


class Watch(tune.Callback):  # type: ignore[misc]
    """Tune's callback: shows the study, and leaves Tune's loop when the guard says so. Ends every trial's process."""

    def __init__(
        self,
        guard: StopConditions,
        record: StudyRecord,
        display: "Shown",
        deaths: dict[str, str],
        gauges: StudyGauges,
        nodes: SharedStorage | None = None,
    ) -> None:
        self.guard, self.record, self.display = guard, record, display
        workers = record.experiment.resources.workers_per_trial > 0
        self.gauges, self.nodes, self.losses = gauges, nodes, ProcessFailures(record.run, deaths, workers=workers)
        self.patience = Patience(
            self._why_none,
            record.experiment.resources.wait_s,
            f"resume with: {resume_command(record.run.name, record.run.storage)}",
        )

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks; this one lives and ends with the process

    def on_trial_start(self, trial: Any, **info: Any) -> None:  # noqa: ARG002
        self.gauges.started(trial.trial_id)
        self.losses.started(trial)

    def on_trial_result(self, trial: Any, result: dict[str, Any], **info: Any) -> None:  # noqa: ARG002
        if "storage" in result:
            self.record.fault = self.record.fault or str(result["storage"])
        self.gauges.reported(trial.trial_id, Path(trial.config["folder"]).name, result)
        if "val_accuracy" in result:
            retraining = trial.config["folder"] if trial.config["trial_id"] is None else ""
            self.display.epoch(retraining, int(result["epoch"]))

    def on_trial_complete(self, trial: Any, **info: Any) -> None:  # noqa: ARG002
        self.gauges.ended(trial.trial_id)

    on_trial_error = on_trial_complete

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        self.gauges.ended(trial.trial_id)
        self.losses.died(trial)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        self.display.update()
        self.gauges.update()
        self.record.flush()
        self.losses.look()
        if self.gauges.live:
            self.patience.moved()
        else:
            self.patience.look()
        if self.nodes is not None and self.record.fault is not None:
            self.nodes.check_all()  # a node that has joined and does not share the storage is to blame, by name
        elif self.nodes is not None:
            self.nodes.check_new()
        if (reason := self.guard.reason(self.record)) is not None:
            self._end_trials([actor for trial in trials if (actor := trial.temporary_state.ray_actor) is not None])
            raise StudyStopped(reason)

    def _why_none(self) -> str:
        asked = trial_request(self.record.experiment.resources)
        what = " and ".join(f"{wanted:g} {kind}s" for kind, wanted in asked.items() if wanted)
        return f"a trial to start: it asks for {what}, {free_resources()}"

    def _end_trials(self, actors: list[Any]) -> None:
        """Save first: after SIGTERM a Ray job has 3 s. Then end the processes, which else train on to their next epoch.

        If the study continues with its winners, the trials' workers must leave their slots; a signal ends Ray anyway.
        """
        self.record.interrupt()
        if self.record.experiment.resources.workers_per_trial and not self.guard.signalled:
            ray.wait([actor.stop.remote() for actor in actors], num_returns=len(actors), timeout=_STOP_SECONDS)
        for actor in actors:
            ray.kill(actor)
