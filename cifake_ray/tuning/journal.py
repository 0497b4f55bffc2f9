"""The journal of a study: read whole before a study resumes, and refused where damaged or incomplete.

A killed writer leaves at most a last line without an end; any other damage has another cause, and a resume
would train finished trials again and overwrite their results.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, is_whole
from cifake_ray.runs.columns import CURVE_COLUMNS, FINISHED, STATUSES
from cifake_ray.runs.records import Winners
from cifake_ray.runs.records.store import read_tested, read_winners
from cifake_ray.runs.run import Run

DISCARDED = "discarded"  # attribute of a proposal that was not trained
EPOCH = "epoch:"  # attribute of one epoch, with its number
SPAN = "span:"  # attribute of one stretch of work, with its number: [start, end] in Unix seconds
_CREATE_STUDY, _CREATE_TRIAL = 0, 4  # Optuna's codes of operations


def check_journal(run: Run, experiment: Experiment) -> None:
    """Raise InputError when the journal is damaged, of another experiment, or holds less than the tables.

    That is: a line that is no entry (a cut last line aside), missing lines, more than one study, trials in trials.csv,
    winners.json or test.json that the journal lacks. Nothing is written.
    """
    trials = read_trials(run)
    for trial in trials:
        _check_trial(run, experiment, trial)
    known = {trial.number: trial for trial in trials if DISCARDED not in trial.user_attrs}
    for name, told in (
        (run.trials_file.name, _table_rows(run, experiment)),
        (run.winners_file.name, _winner_rows(read_winners(run))),
        (run.test_file.name, _winner_rows(read_tested(run))),
    ):
        _check_known(run, name, told, known)


def read_trials(run: Run) -> list[FrozenTrial]:
    """The trials of the journal's only study; none before the first. Raises InputError for a damaged journal."""
    operations = _read_operations(run)
    if not operations:
        return []
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = JournalStorage(_Operations(operations))
        (study,) = storage.get_all_studies()
        return storage.get_all_trials(study._study_id, deepcopy=False)
    except Exception as error:  # Optuna checks nothing: whatever it stumbles over
        reason = f"{type(error).__name__} {' '.join(str(error).split())[:100]}".strip()
        raise _damaged(run, f"cannot be replayed ({reason})") from error


def mend_journal(run: Run) -> None:
    """Remove what a killed writer left: Optuna's lock file, a last line cut short. The caller holds the run's lock."""
    for lock in run.path.glob(run.journal.name + ".lock*"):
        lock.unlink(missing_ok=True)
    if run.journal.exists():
        with run.journal.open("r+b") as stream:
            text = stream.read()
            whole = text.rfind(b"\n") + 1
            if _is_operation(text[whole:]):  # only the end of the line is missing
                stream.write(b"\n")
            else:
                stream.truncate(whole)


class StudyJournal(JournalFileBackend):
    """The journal of a running study, written by this process alone, which holds the run's lock and no other.

    Entries that the storage refuses wait in memory, in order, and are written with later ones once that is possible:
    Optuna keeps its state, no half line lies in the file, and `on_fault` decides how the study ends.
    """

    def __init__(self, run: Run, on_fault: Callable[[OSError], None]) -> None:
        super().__init__(str(run.journal))
        self.file, self.on_fault = run.journal, on_fault
        self.waiting: list[dict[str, Any]] = []
        self._read = 0  # entries of the file that Optuna has read

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any]]:
        if self.waiting:
            yield from self.waiting[log_number_from - self._read :]
            return
        try:
            logs = list(super().read_logs(log_number_from))
        except OSError as error:
            self.on_fault(error)
            return
        self._read = log_number_from + len(logs)
        yield from logs

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.waiting += logs
        self.flush()

    def flush(self) -> None:
        """Write the waiting entries to disk."""
        try:
            _append(self.file, "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in self.waiting).encode())
        except OSError as error:
            self.on_fault(error)
        else:
            self.waiting = []


def _append(file: Path, data: bytes) -> None:
    """Append all of `data`, on disk, or nothing. Raises OSError."""
    with file.open("r+b", buffering=0) as stream:  # a file that was removed is not begun again
        size = stream.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(data):
                written += stream.write(data[written:])
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(size)
            raise


class _Operations(BaseJournalBackend):
    """Optuna's operations as they were read; nothing can be added."""

    def __init__(self, operations: Sequence[dict[str, Any]]) -> None:
        self.operations = operations

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self.operations[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002
        raise RuntimeError("this journal is read only")


def _read_operations(run: Run) -> list[dict[str, Any]]:
    try:
        text = run.journal.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{run.journal}: cannot be read ({error.strerror})", "mend that and resume") from error
    *lines, last = text.split(b"\n")
    operations: list[dict[str, Any]] = []
    trials = 0
    for number, line in enumerate([*lines, last] if _is_operation(last) else lines, 1):
        if not _is_operation(line):
            raise _damaged(run, f"line {number} is not an entry")
        operation = json.loads(line)
        if (fault := _fault(operation, number, trials)) is not None:
            raise _damaged(run, f"line {number}: {fault}")
        trials += operation["op_code"] == _CREATE_TRIAL
        operations.append(operation)
    return operations


def _is_operation(line: bytes) -> bool:
    try:
        loaded = json.loads(line)
    except ValueError:
        return False
    return isinstance(loaded, dict) and isinstance(loaded.get("op_code"), int)


def _fault(operation: Mapping[str, Any], number: int, trials: int) -> str | None:
    """Why the operation shows missing lines or another study, else None; `trials`: created so far."""
    begins = operation["op_code"] == _CREATE_STUDY
    if begins != (number == 1):
        return "a second study begins" if begins else "no study begins; lines are missing"
    if operation.get("study_id", 0) != 0:
        return f"study {operation['study_id']} was not begun; lines are missing"
    trial = operation.get("trial_id", 0)
    if "trial_id" in operation and not (isinstance(trial, int) and 0 <= trial < trials):
        return f"trial {trial} was not begun; lines are missing"
    return None


def _check_trial(run: Run, experiment: Experiment, trial: FrozenTrial) -> None:
    """Raise InputError when something of a trial that ended is missing in the journal."""
    if wrong := next((key for key, value in trial.user_attrs.items() if not _is_attribute(key, value)), None):
        raise _damaged(run, f"{wrong} of trial {trial.number} is not what was written there")
    if not trial.state.is_finished() or DISCARDED in trial.user_attrs:
        return
    if trial.user_attrs.get("status") not in FINISHED:
        raise _damaged(run, f"how trial {trial.number} ended is missing")
    if not is_whole(experiment.search_space, trial.params):
        raise _damaged(run, f"the settings of trial {trial.number} are not those of experiment.yaml's search_space")
    epochs = {key for key in trial.user_attrs if key.startswith(EPOCH)}
    if epochs != {f"{EPOCH}{number}" for number in range(1, len(epochs) + 1)}:
        raise _damaged(run, f"an epoch of trial {trial.number} is missing")
    metric = experiment.search.metric
    if any(metric not in trial.user_attrs[key] for key in epochs):
        raise InputError(
            f"{run.experiment_file}: search.metric is {metric}, which trial {trial.number} was not measured by",
            "set the metric that the study began with",
        )


def _is_attribute(key: str, value: Any) -> bool:
    """Whether a trial's attribute has the shape in which a study writes it."""
    if key.startswith(EPOCH):
        known = isinstance(value, dict) and all(isinstance(value.get(name), int | float) for name in CURVE_COLUMNS[1:])
        return known and key == f"{EPOCH}{value['epoch']}"
    if key.startswith(SPAN):
        return isinstance(value, list) and len(value) == 2 and all(isinstance(end, int | float) for end in value)
    return key != "status" or value in STATUSES


Told = tuple[int, bool, str]  # number of a trial, whether it ended, its settings as text


def _check_known(run: Run, name: str, told: Iterable[Told], known: Mapping[int, FrozenTrial]) -> None:
    for number, ended, settings in told:
        trial = known.get(number)
        if trial is None or trial.state == TrialState.WAITING or (ended and not has_ended(trial)):
            fault = f"{name} knows trial {number}{' to its end' if ended else ''}, and the journal does not"
        elif settings != _as_text(trial.params):
            fault = f"{name} has other settings of trial {number}"
        else:
            continue
        raise _damaged(run, fault, f"; or remove {name}, which is then written anew from the journal")


def has_ended(trial: FrozenTrial) -> bool:
    """Whether the journal has the trial's end. The status is written before Optuna's state."""
    return trial.state.is_finished() or trial.user_attrs.get("status") in FINISHED


def _as_text(params: Mapping[str, Any]) -> str:
    """Settings as trials.csv rounds them, in a fixed order."""
    return str(sorted((name, str(cell_of(value))) for name, value in params.items()))


def cell_of(value: Any) -> Any:
    """A value as a cell of a table: floats keep eight significant digits, more than any of them carries."""
    if isinstance(value, bool):
        return json.dumps(value)
    return f"{value:.8g}" if isinstance(value, float) else value


def _table_rows(run: Run, experiment: Experiment) -> Iterator[Told]:
    """The rows of trials.csv; none where it is missing or unreadable: it is written anew from the journal."""
    try:
        rows = list(csv.DictReader(io.StringIO(run.trials_file.read_text(), newline="")))
    except (OSError, ValueError, csv.Error):
        return
    for row in rows:
        number = row.get("trial_id") or ""
        if number.isascii() and number.isdigit():
            settings = sorted((name, row[name]) for name in experiment.search_space if row.get(name))
            yield int(number), row.get("status") in FINISHED, str(settings)


def _winner_rows(noted: Winners) -> Iterator[Told]:
    """The trials that were retrained, or tested; a budget may have ended the search before they ended."""
    for winner in noted.winners:
        yield winner.trial_id, False, _as_text(winner.params)


def _damaged(run: Run, fault: str, otherwise: str = "") -> InputError:
    return InputError(
        f"{run.journal}: {fault}; nothing was changed", f"put the journal back from a copy of the run{otherwise}"
    )
