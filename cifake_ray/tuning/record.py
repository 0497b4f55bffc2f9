"""The record of a study: the Optuna journal is the truth, trials.csv and curves.csv are derived from it.

Every proposal, every epoch and every end is appended to the journal as it happens, so that a killed study loses nothing
it has reported. The tables are rewritten in one step, at most every few seconds.
"""

import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import optuna
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from cifake_ray.errors import StorageError
from cifake_ray.experiment import Experiment, Metric, SecondObjective, is_whole
from cifake_ray.runs.columns import CURVE_COLUMNS, FINISHED, TIMELINE_COLUMNS, Status, curve_columns, trial_columns
from cifake_ray.runs.faults import storage_fault
from cifake_ray.runs.files import write_text
from cifake_ray.runs.run import Run, Save
from cifake_ray.tuning.journal import (
    DISCARDED,
    EPOCH,
    SPAN,
    StudyJournal,
    cell_of,
    check_journal,
    has_ended,
    mend_journal,
)
from cifake_ray.tuning.objectives import open_study, stopped_is_complete, told_values
from cifake_ray.tuning.space import distributions

FLUSH_SECONDS = 3.0
_FLUSH_SHARE = 20.0  # rewriting may take a twentieth of the time: 5,000 trials of 50 epochs are 250,000 rows


@dataclass
class TrialRow:
    """One row of trials.csv, its rows of curves.csv, by epoch, and of timeline.csv: [start, end] in Unix seconds."""

    trial_id: int
    params: dict[str, Any]
    status: Status = "running"
    error: str = ""
    best: dict[str, float] = field(default_factory=dict)
    curve: dict[int, dict[str, float]] = field(default_factory=dict)
    spans: list[list[float]] = field(default_factory=list)

    def value(self, metric: Metric) -> float | None:
        """The best epoch's metric, or None before the first epoch."""
        return self.best.get(f"best_{metric}")


class StudyRecord:
    """The only writer of a run's journal and tables."""

    def __init__(self, run: Run, experiment: Experiment, save: Save | None = None) -> None:
        """`save`: what `run.update()` yields, to be called whenever the tables are written.

        Raises InputError, before anything is written, when the journal is damaged or knows less than the tables.
        """
        self.run, self.experiment, self.save = run, experiment, save or (lambda: None)
        self.rows: dict[int, TrialRow] = {}
        self.fault: str | None = None  # why the storage cannot be written any more
        self.deaths: dict[str, str] = {}  # how a trial's process died last, by the trial's name
        check_journal(run, experiment)
        mend_journal(run)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.storage = JournalStorage(journal := StudyJournal(run, self._lose))
        self._journal = journal
        self.study = open_study(self.storage, run.name, experiment.search)
        for trial in self.study.get_trials(deepcopy=False):
            if DISCARDED in trial.user_attrs or trial.state == TrialState.WAITING:
                continue
            whole = trial.state != TrialState.RUNNING or is_whole(experiment.search_space, trial.params)
            if whole:
                self.rows[trial.number] = row_of(trial)
                if not trial.state.is_finished() and has_ended(trial):
                    self._tell(self.rows[trial.number])  # killed in between
            elif trial.number == 0:
                self.rows[0] = row_of(self._complete_baseline(trial))
            else:
                self.discard(trial.number, "its proposal was cut short")
        self._flushed, self._flush_cost = 0.0, 0.0

    @property
    def finished(self) -> int:
        """How many trials count towards `search.trials`."""
        return sum(row.status in FINISHED for row in self.rows.values())

    def with_status(self, *statuses: Status) -> list[TrialRow]:
        return [row for row in self.rows.values() if row.status in statuses]

    def best(self) -> TrialRow | None:
        """The trial with the best epoch so far, failed ones left out; the earlier one of equals."""
        metric = self.experiment.search.metric
        rows = [row for row in self.rows.values() if row.status != "failed" and row.value(metric) is not None]
        return max(rows, key=lambda row: (metric.score(row.value(metric) or 0.0), -row.trial_id), default=None)

    def start(self, number: int, params: dict[str, Any]) -> TrialRow:
        """Begin a trial, or resume an interrupted one."""
        row = self.rows.setdefault(number, TrialRow(number, params))
        row.status = "running"
        row.spans.append([time.time()] * 2)
        self._note_span(row)
        self.flush()
        return row

    def add_epoch(self, number: int, result: Mapping[str, Any]) -> None:
        """Record one reported epoch; an epoch known already (reported again after a resume) is skipped."""
        row, epoch = self.rows[number], int(result["epoch"])
        if epoch in row.curve:
            return
        row.curve[epoch] = _measured(result)
        row.best = _summary(result)
        row.spans[-1][1] = time.time()
        trial = self._trial_id(number)
        self.storage.set_trial_intermediate_value(trial, epoch, float(result[self.experiment.search.metric]))
        self.storage.set_trial_user_attr(
            trial, f"{EPOCH}{epoch}", row.curve[epoch] | row.best | {"at": row.spans[-1][1]}
        )
        self.flush()

    def finish(self, number: int, status: Status, error: str = "") -> None:
        """End a trial: COMPLETE, PRUNED (stopped) or FAIL for Optuna; an interrupted one stays RUNNING."""
        self._end(number, status, error)
        self.flush(force=self.run.url is not None)

    def _end(self, number: int, status: Status, error: str = "") -> None:
        row = self.rows[number]
        row.status, row.error = status, error
        row.spans[-1][1] = time.time()
        self._note_span(row)
        trial = self._trial_id(number)
        self.storage.set_trial_user_attr(trial, "status", status)
        if error:
            self.storage.set_trial_user_attr(trial, "error", error)
        self._tell(row)

    def _tell(self, row: TrialRow) -> None:
        """Call `Study.tell` with how a trial ended; skip a trial that is to be resumed."""
        number, status = row.trial_id, row.status
        values = told_values(self.experiment.search, row.best)
        if status == "completed" or (status == "stopped" and values and stopped_is_complete(self.experiment.search)):
            self.study.tell(number, values)
        elif status in FINISHED:
            self.study.tell(number, state=TrialState.PRUNED if status == "stopped" else TrialState.FAIL)

    def interrupt(self) -> None:
        """Mark running trials as interrupted, to be resumed; afterwards the record is on disk."""
        for row in self.with_status("running"):
            self._end(row.trial_id, "interrupted")
        self.flush(force=True)

    def discard(self, number: int, reason: str) -> None:
        """Discard a proposal that is not trained, such as a duplicate: it stays in the journal, and is in no table."""
        self.storage.set_trial_user_attr(self._trial_id(number), DISCARDED, reason)
        self.study.tell(number, state=TrialState.FAIL)

    def flush(self, *, force: bool = False) -> None:
        """Rewrite the tables if the last time is long enough ago; in object storage, put them and the journal."""
        now = time.monotonic()
        if not force and now - self._flushed < max(FLUSH_SECONDS, _FLUSH_SHARE * self._flush_cost):
            return
        if self._journal.waiting:
            self._journal.flush()
        try:
            self._write_tables()
            self.save()  # the journal with them
        except (OSError, StorageError) as error:
            self._lose(error)
        self._flushed, self._flush_cost = time.monotonic(), time.monotonic() - now

    def _write_tables(self) -> None:
        rows = sorted(self.rows.values(), key=lambda row: row.trial_id)
        columns = trial_columns(self.experiment.trial_fields())
        write_text(self.run.trials_file, _csv(columns, (_table_row(row) for row in rows)))
        curve = (epoch | {"trial_id": row.trial_id} for row in rows for _, epoch in sorted(row.curve.items()))
        write_text(self.run.curves_file, _csv(curve_columns(self.experiment.search.metric), curve))
        write_text(self.run.timeline_file, _csv(TIMELINE_COLUMNS, _timeline(rows)))

    def _lose(self, error: Exception) -> None:
        """Keep why the storage cannot be written: the study stops at its next step, where no trial fails by it."""
        fault = storage_fault(error, self.run)
        if fault is None:
            raise error
        self.fault = self.fault or fault

    def _complete_baseline(self, trial: FrozenTrial) -> FrozenTrial:
        """Trial 0 is the baseline, also when its proposal was cut short: its values are known."""
        baseline, space = self.experiment.baseline_params(), distributions(self.experiment)
        for name in [name for name in baseline if name not in trial.params]:
            internal = space[name].to_internal_repr(baseline[name])
            self.storage.set_trial_param(trial._trial_id, name, internal, space[name])
        return self.storage.get_trial(trial._trial_id)

    def _note_span(self, row: TrialRow) -> None:
        key = f"{SPAN}{len(row.spans)}"
        self.storage.set_trial_user_attr(self._trial_id(row.trial_id), key, row.spans[-1])

    def _trial_id(self, number: int) -> int:
        return int(self.storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number))


_KEPT = ("total_seconds", "cpu_seconds", *get_args(SecondObjective))


def row_of(trial: FrozenTrial) -> TrialRow:
    """A trial's row by the journal of its study."""
    row = TrialRow(trial.number, dict(trial.params))
    if has_ended(trial):
        row.status = trial.user_attrs["status"]
    else:
        row.status = "interrupted"  # its writer is gone, or it would hold the run's lock
    row.error = trial.user_attrs.get("error", "") if row.status == "failed" else ""
    for key, values in trial.user_attrs.items():
        if key.startswith(EPOCH):
            row.curve[int(values["epoch"])] = _measured(values)
    row.spans = _spans_of(trial)
    if row.curve:
        last = trial.user_attrs[f"{EPOCH}{max(row.curve)}"]
        row.best = _summary(last)
    return row


def _measured(result: Mapping[str, Any]) -> dict[str, float]:
    """What curves.csv has of an epoch's report; version 0.1 reported accuracy and loss alone."""
    return {name: result[name] for name in (*CURVE_COLUMNS[1:], *map(str, Metric)) if name in result}


def _summary(result: Mapping[str, Any]) -> dict[str, float]:
    """What trials.csv has of an epoch's report: the best epoch so far, the time spent, a second objective."""
    return {key: value for key, value in result.items() if key.startswith("best_") or key in _KEPT}


def _spans_of(trial: FrozenTrial) -> list[list[float]]:
    """When the trial was worked on; a stretch that a killed process left open ends with its last epoch."""
    noted = sorted((int(key.partition(":")[2]), span) for key, span in trial.user_attrs.items()
                   if key.startswith(SPAN))  # fmt: skip
    spans = [list(span) for _, span in noted]
    if spans:
        ends = [epoch.get("at", 0.0) for key, epoch in trial.user_attrs.items() if key.startswith(EPOCH)]
        spans[-1][1] = max([spans[-1][1], *ends])
    return spans


def _timeline(rows: Sequence[TrialRow]) -> Iterator[dict[str, Any]]:
    """Seconds since the first trial began."""
    zero = min((row.spans[0][0] for row in rows if row.spans), default=0.0)
    for row in rows:
        for start, end in row.spans:
            yield {"trial_id": row.trial_id, "start": round(start - zero, 2), "end": round(end - zero, 2)}


def _table_row(row: TrialRow) -> dict[str, Any]:
    best = row.best
    return {
        "trial_id": row.trial_id,
        "status": row.status,
        **row.params,
        **{name: best.get(name) for name in get_args(SecondObjective)},
        **{str(metric): best.get(f"best_{metric}") for metric in Metric},
        "epochs": len(row.curve),
        "best_epoch": best.get("best_epoch"),
        "train_accuracy": best.get("best_train_accuracy"),
        "seconds": best.get("total_seconds"),
        "cpu_seconds": best.get("cpu_seconds"),
        "error": row.error,
    }


def _csv(columns: Any, rows: Any) -> str:
    """Rows as CSV text; floats keep six significant digits, which is more than any of them carries."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: cell_of(row.get(key)) for key in columns})
    return text.getvalue()
