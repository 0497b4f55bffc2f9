"""A study while it runs: what is shown, and what ends it early (budget, target, signal)."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import tune
from rich.console import Console
from rich.live import Live
from rich.table import Table

from cifake_ray.console import print_note
from cifake_ray.experiment import Search
from cifake_ray.features import free_resources
from cifake_ray.run import STATUSES, in_job, resume_command
from cifake_ray.signals import deferred
from cifake_ray.tuning.gauges import StudyGauges
from cifake_ray.tuning.losses import Losses
from cifake_ray.tuning.nodes import SharedStorage
from cifake_ray.tuning.record import StudyRecord, TrialRow
from cifake_ray.tuning.resources import trial_request
from cifake_ray.waiting import Patience

_REFRESH_SECONDS = 0.5
_TABLE_ROWS = 12
_NOTE_SECONDS = 2.0
_RUNNING_SECONDS = 0.5  # running trials are noted two a second at most: a day of 64 at once is 25 MB of log
_WHOLE_SECONDS = 20.0  # the study as a whole is noted so often at least: `status` reads the end of the log
_STOP_SECONDS = 180.0  # for the workers of running trials to finish their epoch


class StudyStopped(Exception):
    """Raised inside Tune's loop to leave it; Tune then frees what its trials hold, also those only asked for."""


@dataclass
class Guard:
    """Says when and why a study ends before its trials are done."""

    search: Search
    started: float = field(default_factory=time.monotonic)
    signalled: bool = False
    searching: bool = True  # budgets are the search's; a retraining ends at a signal only

    def reason(self, record: StudyRecord) -> str | None:
        """`interrupted`, `storage`, `time budget`, `target`, or None to go on."""
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
def catching_signals(guard: Guard) -> Iterator[None]:
    """SIGINT or SIGTERM once: end in order. Twice: end now (what was reported is on disk already)."""

    def note() -> None:
        guard.signalled = True
        print("stopping and saving; once more to stop now", file=sys.stderr, flush=True)

    with deferred(note):
        yield


class Watch(tune.Callback):  # type: ignore[misc]
    """Tune's callback: shows the study, and leaves Tune's loop when the guard says so. Ends every trial's process."""

    def __init__(
        self,
        guard: Guard,
        record: StudyRecord,
        display: "Display | Quiet",
        deaths: dict[str, str],
        gauges: StudyGauges,
        nodes: SharedStorage | None = None,
    ) -> None:
        self.guard, self.record, self.display = guard, record, display
        workers = record.experiment.resources.workers_per_trial > 0
        self.gauges, self.nodes, self.losses = gauges, nodes, Losses(record.run, deaths, workers=workers)
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
        if self.nodes is not None:
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

        If the study goes on with its winners, the trials' workers must leave their places; a signal ends Ray anyway.
        """
        self.record.interrupt()
        if self.record.experiment.resources.workers_per_trial and not self.guard.signalled:
            ray.wait([actor.stop.remote() for actor in actors], num_returns=len(actors), timeout=_STOP_SECONDS)
        for actor in actors:
            ray.kill(actor)


class Display:
    """A live table on a terminal, else one line for each trial that ends. Everything goes to stderr."""

    def __init__(self, record: StudyRecord, guard: Guard) -> None:
        self.record, self.guard = record, guard
        self.done_before = record.finished
        self.shown: set[int] = {row.trial_id for row in record.rows.values() if row.status != "interrupted"}
        self.console = Console(stderr=True)
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self.last = 0.0

    def __enter__(self) -> "Display":
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.update(force=True)
        if self.live is not None:
            self.live.stop()

    def update(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self.last < _REFRESH_SECONDS:
            return
        self.last = now
        if self.live is not None:
            self.live.update(self.table(), refresh=True)
            return
        for row in list(self.record.rows.values()):
            if row.trial_id not in self.shown and row.status not in ("running", "interrupted"):
                self.shown.add(row.trial_id)
                print(f"{self.line(row)} · {self.summary()}", file=sys.stderr, flush=True)

    def summary(self) -> str:
        """`8/20 done · best 0.9341 (trial 2) · about 3 min left`."""
        done, total = self.record.finished, self.guard.search.trials
        parts = [f"{done}/{total} done"]
        if (best := self.record.best()) is not None:
            parts.append(f"best {best.value(self.guard.search.metric):.4f} (trial {best.trial_id})")
        if seconds := self.seconds_left():
            parts.append(f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left")
        return " · ".join(parts)

    def seconds_left(self) -> float | None:
        """Of the trials, at the rate of those that ended since the start or resume; None before the first of them."""
        if not self.guard.searching:
            return None
        new, missing = self.record.finished - self.done_before, self.guard.search.trials - self.record.finished
        return (time.monotonic() - self.guard.started) / new * max(missing, 0) if new > 0 else None

    def line(self, row: TrialRow) -> str:
        value = row.value(self.guard.search.metric)
        outcome = row.error if row.status == "failed" else f"{self.guard.search.metric} {value or 0:.4f}"
        return f"trial {row.trial_id} {row.status} after {len(row.curve)} epochs: {outcome} ({_settings(row.params)})"

    def table(self) -> Table:
        """The last trials, running ones below, best so far in the title."""
        table = Table(title=self.summary(), title_justify="left", expand=False)
        for column in ("trial", "status", *self.record.experiment.search_space, "epochs", "val acc", "best"):
            table.add_column(column, justify="right" if column not in ("status",) else "left", no_wrap=True)
        best = self.record.best()
        for row in sorted(self.record.rows.values(), key=lambda row: (row.status == "running", row.trial_id))[
            -_TABLE_ROWS:
        ]:
            last = row.curve[max(row.curve)]["val_accuracy"] if row.curve else None
            settings = [_short(row.params.get(name)) for name in self.record.experiment.search_space]
            values = (
                f"{last:.4f}" if last is not None else "",
                f"{row.best['best_val_accuracy']:.4f}" if row.best else "",
            )
            style = "bold green" if best is row else "dim" if row.status in ("stopped", "failed") else ""
            table.add_row(str(row.trial_id), row.status, *settings, str(len(row.curve)), *values, style=style)
        return table


def note_phase(phase: str) -> None:
    """In a Ray job: say for `cifake-ray status` what is done before the first trial."""
    if in_job():
        print_note({"phase": phase})


class JobDisplay(Display):
    """In a Ray job: the same lines, and for `cifake-ray status` notes of what changed (trials, then the whole)."""

    def __init__(self, record: StudyRecord, guard: Guard) -> None:
        super().__init__(record, guard)
        self.live = None
        self.noted: dict[int, dict[str, Any]] = {}
        self.whole: dict[str, Any] = {}
        self.next_note = self.next_running = self.next_whole = 0.0

    def update(self, *, force: bool = False) -> None:
        super().update(force=force)
        now = time.monotonic()
        if not force and now < self.next_note:
            return
        running = force or now >= self.next_running
        for row in list(self.record.rows.values()):
            note, before = self.trial_note(row), self.noted.get(row.trial_id)
            if note != before and (running or before is None or note["status"] != before["status"]):
                self.noted[row.trial_id] = note
                print_note({"trial": note})
        if (whole := self.note()) != self.whole or now >= self.next_whole:
            self.whole, self.next_whole = whole, now + _WHOLE_SECONDS
            print_note(whole | {"seconds_left": self.seconds_left()})
        self.next_note = now + _NOTE_SECONDS
        if running:
            self.next_running = now + max(_NOTE_SECONDS, len(self.record.with_status("running")) * _RUNNING_SECONDS)

    def note(self) -> dict[str, Any]:
        """The study as a whole; `best` is null before the first epoch."""
        search, best = self.guard.search, self.record.best()
        counts: Counter[str] = Counter(row.status for row in self.record.rows.values())
        found = {"value": best.value(search.metric), "trial_id": best.trial_id} if best is not None else None
        return {
            "phase": "tuning" if self.guard.searching else "retraining",
            "experiment": self.record.experiment.name,
            "model": self.record.experiment.model.kind,
            "total": search.trials,
            "finished": self.record.finished,
            "trials": {status: counts[status] for status in STATUSES},
            "metric": search.metric,
            "best": found,
        }

    def trial_note(self, row: TrialRow) -> dict[str, Any]:
        value = row.value(self.guard.search.metric)
        about = {"trial_id": row.trial_id, "status": row.status, "epochs": len(row.curve), "best": value}
        return about | {"params": row.params, "error": row.error}


def display_of(record: StudyRecord, guard: Guard) -> Display:
    """How this process shows a study."""
    return (JobDisplay if in_job() else Display)(record, guard)


class Quiet:
    """A display that shows nothing."""

    def update(self) -> None:
        """Nothing to show."""


def _settings(params: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in params.items())


def _short(value: Any) -> str:
    if value is None:
        return ""  # a dimension that is not active
    return f"{value:.3g}" if isinstance(value, float) else str(value)
