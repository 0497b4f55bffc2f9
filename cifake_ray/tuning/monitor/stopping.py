"""What ends a study before its trials are done: a signal, a budget, a target, a storage that cannot be written."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cifake_ray.console import warn
from cifake_ray.runs.columns import Status
from cifake_ray.runs.faults import interrupted_line
from cifake_ray.signals import deferred, resumable
from cifake_ray.tuning.monitor.callback import Outcome, RunningTrial, StudyCallback
from cifake_ray.tuning.ray_cluster.shared_storage import SharedStorage
from cifake_ray.tuning.record import StudyRecord


class StudyStopped(Exception):
    """Raised inside Tune's loop to leave it; Tune then frees what its trials hold, also resources only requested."""

    def __init__(self, reason: Outcome) -> None:
        super().__init__(reason)
        self.reason: Outcome = reason


@dataclass
class StopSignal:
    """Whether this process has received SIGINT or SIGTERM."""

    received: bool = False

    def check(self) -> None:
        """Raise StudyStopped after a signal."""
        if self.received:
            raise StudyStopped("interrupted")


@contextmanager
def catching_signals() -> Iterator[StopSignal]:
    """SIGINT or SIGTERM once: end in order. Twice: end now (what was reported is on disk already)."""
    stop = StopSignal()

    def note() -> None:
        stop.received = True
        warn("stopping and saving; once more to stop now")

    with deferred(note):
        yield stop


def last_line(record: StudyRecord) -> str:
    """The last line of the study if it is interrupted now."""
    return interrupted_line(record.run, record.finished, record.experiment.search.trials)


class LastLine(StudyCallback):
    """Keeps the line that a signal prints as the study stands: a signal may come when nothing else is reported."""

    def __init__(self, record: StudyRecord) -> None:
        self.record = record
        resumable(last_line(record))

    def trial_ended(self, trial: RunningTrial, status: Status, reason: str) -> None:  # noqa: ARG002
        resumable(last_line(self.record))


class StopConditions(StudyCallback):
    """Raises StudyStopped when there is a reason to stop. `seconds`: how long the study has searched already."""

    def __init__(self, record: StudyRecord, signal: StopSignal, seconds: float = 0.0) -> None:
        self.record, self.signal, self.search = record, signal, record.experiment.search
        self.started = time.monotonic() - seconds
        self.searching = True  # budgets are the search's; a retraining ends at a signal only

    def search_ended(self, retrainings: int) -> None:  # noqa: ARG002
        self.searching = False

    def step_ended(self) -> None:
        if (reason := self.reason()) is not None:
            raise StudyStopped(reason)

    def reason(self) -> Outcome | None:
        """`interrupted`, `storage`, `time budget`, `target`, or None to continue."""
        if self.signal.received:
            return "interrupted"
        if self.record.fault is not None:
            return "storage"
        if not self.searching:
            return None
        if self.search.time_budget_s is not None and time.monotonic() - self.started >= self.search.time_budget_s:
            return "time budget"
        return "target" if self._target_reached() else None

    def _target_reached(self) -> bool:
        best = self.record.best()
        value = best.value(self.search.metric) if best else None
        target = self.search.target
        return target is not None and value is not None and self.search.metric.reached(value, target)


class StorageCheck(StudyCallback):
    """Raises InputError naming a node that has joined and does not share the storage."""

    def __init__(self, record: StudyRecord, nodes: SharedStorage) -> None:
        self.record, self.nodes = record, nodes

    def step_ended(self) -> None:
        if self.record.fault is not None:
            self.nodes.check_all()  # before the fault ends the study without a name
        else:
            self.nodes.check_new()
