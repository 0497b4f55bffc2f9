"""A study's figures for Prometheus: gauges that every node's metrics port shows as `ray_cifake_ray_…`.

Ray 2.60 forgets a gauge's series when it was not set again within two report intervals (2 x 10 s). Gauges of running
trials are set every second, those of ended trials never, and a finished trial's series is gone after 20 s.
"""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from statistics import fmean

from ray.util.metrics import Gauge

from cifake_ray.runs.columns import STATUSES, Status
from cifake_ray.tuning.monitor.callback import RunningTrial, StudyCallback
from cifake_ray.tuning.record import StudyRecord

_UPDATE_SECONDS = 1.0
_EPOCHS = 16  # whose mean speed is taken for that of every running trial, also of one in its first epoch


class StudyGauges(StudyCallback):
    """The gauges of one study while it tunes or retrains. `images`: training images of one epoch."""

    def __init__(self, record: StudyRecord, images: int) -> None:
        self.record, self.images = record, images
        self.running: dict[str, Mapping[str, float]] = {}  # the last epoch of what runs, by name
        self.live: set[str] = set()  # names of what runs, also before its first epoch
        self.rates: deque[float] = deque(maxlen=_EPOCHS)  # images a second of the last epochs
        self._trials = Gauge("cifake_ray_trials", "Trials of a study by status", ("study", "status"))
        self._best = Gauge("cifake_ray_best_val_accuracy", "Validation accuracy of the best trial so far", ("study",))
        self._accuracy = Gauge(
            "cifake_ray_val_accuracy", "Validation accuracy of a running trial's last epoch", ("study", "trial_id")
        )
        self._rate = _rate_gauge()
        self._updated = 0.0

    def trial_started(self, trial: RunningTrial) -> None:
        self.live.add(trial.name)

    def epoch_reported(self, trial: RunningTrial, epoch: int, metrics: Mapping[str, float]) -> None:  # noqa: ARG002
        self.running[trial.name] = metrics
        self.rates.append(self.images / max(metrics["seconds"], 1e-9))

    def process_died(self, trial: RunningTrial) -> None:
        self._forget(trial)

    def trial_ended(self, trial: RunningTrial, status: Status, reason: str) -> None:  # noqa: ARG002
        self._forget(trial)

    def _forget(self, trial: RunningTrial) -> None:
        self.live.discard(trial.name)
        self.running.pop(trial.name, None)

    def step_ended(self) -> None:
        """Set every gauge, once a second at most. A figure that cannot be shown must never end a study."""
        now = time.monotonic()
        if now - self._updated < _UPDATE_SECONDS:
            return
        self._updated = now
        with contextlib.suppress(Exception):
            self._set()

    def _set(self) -> None:
        study = {"study": self.record.run.name}
        counts: Counter[str] = Counter(row.status for row in self.record.rows.values())
        for status in STATUSES:
            self._trials.set(counts[status], study | {"status": status})
        best = self.record.best()
        self._best.set(best.best.get("best_val_accuracy") if best else None, study)
        for name, metrics in self.running.items():
            self._accuracy.set(metrics["val_accuracy"], study | {"trial_id": name})
        self._rate.set(len(self.live) * fmean(self.rates) if self.rates else None, study)


def extraction_rate(study: str) -> Callable[[int, int], None]:
    """A callable (images done, in all) that shows how fast features are extracted."""
    gauge, started = _rate_gauge(), time.monotonic()
    first: list[int] = []

    def update(done: int, total: int) -> None:  # noqa: ARG001
        first[:] = first or [done]  # these images came from the cache
        with contextlib.suppress(Exception):
            gauge.set((done - first[0]) / (time.monotonic() - started), {"study": study})

    return update


def _rate_gauge() -> Gauge:
    return Gauge(
        "cifake_ray_images_per_second",
        "Images trained a second over the running trials, or features extracted",
        ("study",),
    )
