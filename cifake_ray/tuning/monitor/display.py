"""The display of a running study: a live table, lines, and in a Ray job notes for `cifake-ray status`."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from cifake_ray.console import counted, duration, print_note, say
from cifake_ray.runs.columns import STATUSES, Status
from cifake_ray.runs.resume import in_job
from cifake_ray.tuning.estimate.forecast import EXPECTED_SHARE, Forecast, State, Work
from cifake_ray.tuning.monitor.callback import RunningTrial, StudyCallback, StudyEnd
from cifake_ray.tuning.monitor.phases import phase_name
from cifake_ray.tuning.record import StudyRecord, TrialRow

_REFRESH_SECONDS = 0.5
_TABLE_ROWS = 12
_FRAME_LINES = 6  # of the table besides its rows: title, header, rules, and the prompt's line
_NOTE_SECONDS = 2.0
_QUIET_SECONDS = 60.0  # without a line on a file or pipe: a trial of all CIFAKE takes minutes
_RUNNING_SHOWN = 4  # trials in such a line
_RUNNING_SECONDS = 0.5  # notes of running trials, two a second at most: a day of 64 at once is 25 MB of log
_WHOLE_SECONDS = 20.0  # a note of the whole study is printed so often at least: `status` reads the end of the log
_WORDS = {"stopped": "stopped early"}  # by the scheduler; a job is stopped by hand


def study_work(record: StudyRecord, test_share: float = 0.0, test_s: float = 0.0) -> Work:
    """What the record's study consists of; `test_share`: test images over training images of an epoch."""
    search = record.experiment.search
    share = 1.0 if search.scheduler == "none" else EXPECTED_SHARE
    networks = search.winner_seeds * (1 if search.trials == 1 else 2)
    return Work(
        search.trials, record.experiment.training.epochs, share, networks, max(networks, 1) * test_share, test_s
    )


def recorded_pace(record: StudyRecord) -> float | None:
    """Seconds of a mean epoch of the search, all slots together, by when its trials ran; None before the first one."""
    spans = sorted(span for row in record.rows.values() for span in row.spans)
    epochs, seconds, until = sum(len(row.curve) for row in record.rows.values()), 0.0, 0.0
    for start, end in spans:
        seconds += max(end - max(start, until), 0.0)
        until = max(until, end)
    return seconds / epochs if epochs and seconds > 0 else None


class Display(StudyCallback):
    """A live table on a terminal, else one line for each trial that ends. Everything goes to stderr."""

    def __init__(self, record: StudyRecord, work: Work | None = None) -> None:
        self.record, self.search = record, record.experiment.search
        self.forecast = Forecast(work or study_work(record))
        self.searching = True
        self.retrained: dict[str, int] = {}  # epochs of each retraining
        self.retrainings = self.retrainings_ended = 0
        self.began = time.monotonic()
        self.shown: set[int] = {row.trial_id for row in record.rows.values() if row.status != "interrupted"}
        self.rank = record.finished
        self.console = Console(stderr=True)
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self.last = 0.0
        self.said = time.monotonic()  # when the last plain line was printed
        self.resumed = not record.with_status("running") and self._resume_forecast()

    def epoch_reported(self, trial: RunningTrial, epoch: int, metrics: Mapping[str, float]) -> None:  # noqa: ARG002
        if trial.trial_id is None:
            self.retrained[trial.name] = epoch
        self.forecast.epoch(self._state())

    def _resume_forecast(self) -> bool:
        """Estimate by the record's pace, where it has one and no epoch has ended since the resume."""
        if (pace := recorded_pace(self.record)) is None:
            return False
        self.forecast.resume(pace, self._state())
        return True

    def _state(self) -> State:
        rows = list(self.record.rows.values())
        ended = [len(row.curve) for row in rows if row.status not in ("running", "interrupted")]
        running = [len(row.curve) for row in rows if row.status in ("running", "interrupted")]
        return State(ended, running, sum(self.retrained.values()), self._retraining_cost(rows), self.searching)

    def _retraining_cost(self, rows: list[TrialRow]) -> float:
        """Seconds of an epoch of the best configuration and the baseline over those of all epochs of the search."""
        best = self.record.best()
        chosen = [row for row in rows if row is best or row.trial_id == 0]
        means = [fmean(epoch["seconds"] for epoch in row.curve.values()) for row in chosen if row.curve]
        every = [epoch["seconds"] for row in rows for epoch in row.curve.values()]
        return fmean(means) / max(fmean(every), 1e-9) if means else 1.0

    def trial_ended(self, trial: RunningTrial, status: Status, reason: str) -> None:
        """Print a line for a retraining; the lines of the search's trials follow from the record."""
        if trial.trial_id is not None or status == "interrupted":
            return
        self.retrainings_ended += 1
        outcome = f": failed, {reason}" if status == "failed" else ""
        left = self.seconds_left()
        remaining = "" if left is None else f" · about {duration(round(left))} left"
        say(f"retrained {trial.name} ({self.retrainings_ended}/{self.retrainings}){outcome}{remaining}")

    def search_ended(self, retrainings: int) -> None:
        self.searching = False
        if retrainings:  # fewer than expected where the baseline won or some are trained
            self.retrainings = retrainings
            self.forecast.work = replace(self.forecast.work, retrainings=retrainings)
            self._resume_forecast()
            self.update(force=True)  # the lines of the trials that have ended come before those of retrainings

    def step_ended(self) -> None:
        self.update()

    def study_ended(self, end: StudyEnd) -> None:  # noqa: ARG002
        if self.last:  # else nothing was left to train
            self.update(force=True)
        if self.live is not None:
            self.live.stop()

    def update(self, *, force: bool = False) -> None:
        """Show what changed, twice a second at most unless forced."""
        now = time.monotonic()
        if not force and now - self.last < _REFRESH_SECONDS:
            return
        self.last = now
        if self.live is not None:
            self.live.start()
            self.live.update(self.table(), refresh=True)
            return
        if self.resumed:
            self.resumed, self.said = False, now
            say(f"resumed at {self.summary(elapsed=False)}")
        for row in list(self.record.rows.values()):
            if row.trial_id not in self.shown and row.status not in ("running", "interrupted"):
                self.shown.add(row.trial_id)
                self.rank += 1
                self.said = now
                say(f"{self.line(row)} · {self.summary(self.rank)}")
        if now - self.said >= _QUIET_SECONDS and (line := self._running()):
            self.said = now
            say(f"{line} · {self.summary()}")

    def _running(self) -> str:
        """`trial 0 epoch 6/9 val_accuracy 95.50 %` of each trial that runs; of the retrainings their epochs."""
        metric, epochs = self.search.metric, self.record.experiment.training.epochs
        rows = [row for row in self.record.with_status("running") if row.curve]
        running = [f"trial {row.trial_id} epoch {len(row.curve)}/{epochs} {metric} {metric.shown(row.value(metric))}"
                   for row in rows[:_RUNNING_SHOWN]]  # fmt: skip
        if not self.searching:
            running = [f"{name} epoch {epoch}/{epochs}" for name, epoch in self.retrained.items() if epoch < epochs]
        more = [f"{len(rows) - _RUNNING_SHOWN} more running"] if len(rows) > _RUNNING_SHOWN else []
        return ", ".join([*running, *more])

    def summary(self, done: int | None = None, *, elapsed: bool = True, counted_trials: bool = True) -> str:
        """`8/20 · best 93.41 % (trial 2) · 5 min so far, about 3 min left`; `done`: the rank of a line."""
        total = self.search.trials
        parts = [f"{self.record.finished if done is None else done}/{total}"] if counted_trials else []
        if (best := self.record.best() if done is None else self._best_shown()) is not None:
            metric = self.search.metric
            parts.append(f"best {metric.shown(best.value(metric))} (trial {best.trial_id})")
        parts += [f"{duration(time.monotonic() - self.began)} so far"] if elapsed else []
        if (seconds := self.seconds_left()) is not None:
            parts.append(f"about {duration(round(seconds))} left")
        return " · ".join(parts)

    def seconds_left(self) -> float | None:
        """Seconds left of the whole study, with retraining and test; None before the first estimate."""
        return self.forecast.left()

    def line(self, row: TrialRow) -> str:
        metric = self.search.metric
        outcome = row.error if row.status == "failed" else f"{metric} {metric.shown(row.value(metric))}"
        epochs = f"{len(row.curve)} of {counted(self.record.experiment.training.epochs, 'epoch')}"
        status = _WORDS.get(row.status, row.status)
        settings = f" ({_settings(row.params)})" if row.params else ""
        return f"trial {row.trial_id} {status} after {epochs}: {outcome}{settings}"

    def _best_shown(self) -> TrialRow | None:
        """The best of the trials that a line was printed for."""
        metric = self.search.metric
        rows = [row for row in self.record.rows.values() if row.trial_id in self.shown and row.status != "failed"]
        valued = [(metric.score(value), -row.trial_id, row) for row in rows if (value := row.value(metric)) is not None]
        return max(valued, key=lambda found: found[:2])[2] if valued else None

    def title(self) -> str:
        return f"{self.phase()} · {self.summary(counted_trials=not self.retrainings)}"

    def phase(self) -> str:
        """`2/3 search`, `3/3 retraining 2/6`."""
        name = phase_name(self.record.experiment, "search" if self.searching else "retraining")
        return f"{name} {self.retrainings_ended}/{self.retrainings}" if self.retrainings else name

    def table(self) -> Table:
        """The running trials, the best and the last that ended, by number; columns as wide from first to last frame."""
        table = Table(title=self.title(), title_justify="left", expand=True, box=box.SIMPLE_HEAD,
                      show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
        metric, second = self.search.metric, self.search.second_objective
        epochs = self.record.experiment.training.epochs
        for name, width in (
            ("trial", 5), ("status", 13), ("epoch", max(5, 2 * len(str(epochs)) + 1)), ("now", 8), ("best", 8),
            *([(_SECOND[second], 9)] if second else []),
        ):  # fmt: skip
            table.add_column(name, justify="left" if name == "status" else "right", no_wrap=True, min_width=width)
        table.add_column("settings", no_wrap=True, overflow="ellipsis", ratio=1)
        best = self.record.best()
        for row in self._rows(best):
            last = row.curve[max(row.curve)][metric] if row.curve else None
            cells = [metric.shown(last), metric.shown(row.value(metric))]
            cells += [_short(row.best.get(second))] if second else []
            style = "bold green" if best is row else "dim" if row.status in ("stopped", "failed") else ""
            progress = f"{len(row.curve)}/{epochs}"
            table.add_row(
                str(row.trial_id), _WORDS.get(row.status, row.status), progress, *cells, folded(row.params), style=style
            )
        return table

    def _rows(self, best: TrialRow | None) -> list[TrialRow]:
        room = max(min(_TABLE_ROWS, self.console.height - _FRAME_LINES), 1)
        rows = sorted(
            self.record.rows.values(),
            key=lambda row: (row.status == "running", row is best, row.trial_id),
            reverse=True,
        )
        return sorted(rows[:room], key=lambda row: row.trial_id)


class JobDisplay(Display):
    """In a Ray job: the same lines, and for `cifake-ray status` notes of what changed (trials, then the whole)."""

    def __init__(self, record: StudyRecord, work: Work | None = None) -> None:
        super().__init__(record, work)
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
        search, best = self.search, self.record.best()
        counts: Counter[str] = Counter(row.status for row in self.record.rows.values())
        found = {"value": best.value(search.metric), "trial_id": best.trial_id} if best is not None else None
        return {
            "phase": self.phase(),
            "experiment": self.record.experiment.name,
            "model": self.record.experiment.model.kind,
            "total": search.trials,
            "finished": self.record.finished,
            "trials": {status: counts[status] for status in STATUSES},
            "metric": search.metric,
            "best": found,
        }

    def trial_note(self, row: TrialRow) -> dict[str, Any]:
        value = row.value(self.search.metric)
        about = {"trial_id": row.trial_id, "status": row.status, "epochs": len(row.curve), "best": value}
        return about | {"params": row.params, "error": row.error}


def display_of(record: StudyRecord, work: Work | None = None) -> Display:
    """The display for this process: with notes in a Ray job."""
    return (JobDisplay if in_job() else Display)(record, work)


_SECOND = {"parameters": "params", "inference_ms": "ms/image"}
_NAMES = {"batch_size": "bs", "weight_decay": "wd", "head_width": "width"}  # folded names, as the field writes them


def folded(params: dict[str, Any]) -> str:
    """`lr 3.5e-3 bs 64`: the settings of a trial in one cell."""
    return " ".join(f"{_NAMES.get(name, name)} {_short(value)}" for name, value in params.items() if value is not None)


def _settings(params: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in params.items())


def _short(value: Any) -> str:
    if value is None:
        return ""  # a dimension that is not active
    return f"{value:.3g}" if isinstance(value, float) else str(value)
