"""Earlier studies that a study begins from: their trials with a result, from the journal or from published tables."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from optuna.trial import TrialState

from cifake_ray.data.sources.locate import noted_fingerprints
from cifake_ray.errors import InputError
from cifake_ray.experiment import (
    CategoricalDimension,
    Dimension,
    Experiment,
    IntDimension,
    Metric,
    Scalar,
    SecondObjective,
)
from cifake_ray.runs.columns import CURVE_COLUMNS
from cifake_ray.runs.names import find_run
from cifake_ray.runs.resume import Storage
from cifake_ray.runs.run import Run
from cifake_ray.tuning.journal import DISCARDED, cell_of, read_trials
from cifake_ray.tuning.record import TrialRow, row_of


@dataclass(frozen=True)
class Parent:
    """A study to begin from. fingerprints: of its images, none where not recorded; rows: trials with a result."""

    name: str
    experiment: Experiment
    fingerprints: frozenset[str]
    rows: tuple[TrialRow, ...]


def read_parents(places: Sequence[str], storage: Storage, experiment: Experiment) -> tuple[Parent, ...]:
    """The studies that `--warm-start` names (by name, folder, address or job), each once.

    Raises InputError for a run that is not there or damaged, has no trial with a result, or searched no key of the
    search space of `experiment`.
    """
    runs = {run.url or run.path.resolve(): run for run in (find_run(place, storage) for place in places)}
    return tuple(_read(run, experiment) for run in runs.values())


def _read(run: Run, experiment: Experiment) -> Parent:
    theirs = run.experiment()
    metric = theirs.search.metric
    rows = tuple(
        row for row in (_journal_rows(run) if run.journal.exists() else _table_rows(run, theirs))
        if row.status in ("completed", "stopped") and math.isfinite(row.value(metric) or math.nan) and row.curve
    )  # fmt: skip
    if not rows:
        raise InputError(
            f"--warm-start {run.where}: no trial of this study has a result", "name a study with finished trials"
        )
    if not theirs.search_space.keys() & experiment.search_space.keys():
        here, there = (", ".join(one.search_space) or "nothing" for one in (experiment, theirs))
        raise InputError(
            f"--warm-start {run.where}: no common key: that study searched {there}, and this one searches {here}",
            "name a study that searched one of these keys",
        )
    return Parent(run.name, theirs, noted_fingerprints(run), rows)


def _journal_rows(run: Run) -> Iterator[TrialRow]:
    for trial in read_trials(run):
        if DISCARDED not in trial.user_attrs and trial.state != TrialState.WAITING:
            yield row_of(trial)


def _table_rows(run: Run, experiment: Experiment) -> Iterator[TrialRow]:
    """The rows of trials.csv and curves.csv, of a published run, which has no journal."""
    curves: dict[int, dict[int, dict[str, float]]] = {}
    try:
        for cells in _cells(run.curves_file):
            epoch = {name: float(cells[name]) for name in (*CURVE_COLUMNS[1:], *map(str, Metric)) if cells.get(name)}
            curves.setdefault(int(cells["trial_id"]), {})[int(cells["epoch"])] = epoch
        for cells in _cells(run.trials_file):
            number = int(cells["trial_id"])
            params = {name: _value(dimension, cells[name]) for name, dimension in experiment.search_space.items()
                      if cells[name]}  # fmt: skip
            status: Any = cells["status"]
            yield TrialRow(number, params, status, best=_best(cells), curve=curves.get(number, {}))
    except (OSError, ValueError, KeyError, StopIteration, csv.Error) as error:
        raise InputError(
            f"{run.where}: trials.csv or curves.csv cannot be read ({' '.join(str(error).split())[:100]})",
            "put both back from a copy of the run",
        ) from error


def _cells(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline=""))) if file.exists() else []


def _value(dimension: Dimension, cell: str) -> Scalar:
    """The value that was written as this cell. Raises ValueError for a cell that the dimension cannot have."""
    if isinstance(dimension, CategoricalDimension):
        found = [choice for choice in dimension.choices if str(cell_of(choice)) == cell]
        if not found:
            raise ValueError(f"{cell} is no choice")
        return found[0]
    return int(cell) if isinstance(dimension, IntDimension) else float(cell)


def _best(cells: Mapping[str, str]) -> dict[str, float]:
    """The figures of the best epoch, and of a second objective, under the names of a report."""
    named = {f"best_{metric}": metric.value for metric in Metric} | {name: name for name in get_args(SecondObjective)}
    return {name: float(cells[column]) for name, column in named.items() if cells.get(column)}
