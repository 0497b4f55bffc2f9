"""trials.csv, curves.csv and timeline.csv as DataFrames. What cannot be read as such is refused in one line."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cifake_ray.errors import InputError
from cifake_ray.experiment import CategoricalDimension, Experiment, IntDimension, Metric
from cifake_ray.runs.columns import CURVE_COLUMNS, STATUSES, TIMELINE_COLUMNS, trial_columns

_CURE = "`tune --resume` writes it anew"
_WHOLE = ("trial_id", "epochs", "best_epoch", "parameters")  # whole numbers that may be missing
_TEXT = ("status", "error")


def read_trials(file: Path, experiment: Experiment) -> pd.DataFrame:
    """trials.csv by trial_id, numbers as numbers; categorical dimensions stay text. Empty when not written yet.

    Raises InputError: no CSV, a column missing, text for a number, an unknown status, a trial listed twice.
    """
    frame = _cells(file, trial_columns(experiment.trial_fields()))
    space = experiment.search_space
    text = {*_TEXT, *(name for name, dimension in space.items() if isinstance(dimension, CategoricalDimension))}
    whole = {*_WHOLE, *(name for name, dimension in space.items() if isinstance(dimension, IntDimension))}
    for column in frame.columns.difference(list(text)):
        numbers = _numbers(file, frame, str(column))
        frame[column] = numbers.round().astype("Int64") if column in whole else numbers
    _refuse(file, frame["trial_id"].isna(), frame["trial_id"], "trial_id: a number is missing")
    _refuse(file, ~frame["status"].isin(STATUSES), frame["status"], f"status: expected one of {', '.join(STATUSES)}")
    _refuse(file, frame["trial_id"].duplicated(), frame["trial_id"], "trial_id: listed twice")
    return frame.sort_values("trial_id").reset_index(drop=True)


def read_curves(file: Path) -> pd.DataFrame:
    """curves.csv by trial and epoch, a column for each figure that chooses (NaN where the study did not measure it).

    Raises InputError as `read_trials` does, and for an epoch listed twice.
    """
    frame = _table_of_numbers(file, CURVE_COLUMNS, list(Metric))
    keys = frame[["trial_id", "epoch"]]
    _refuse(file, keys.isna().any(axis=1), keys["epoch"], "trial_id or epoch: a number is missing")
    _refuse(file, keys.duplicated(), keys["epoch"], "epoch: listed twice for its trial")
    return frame.astype({"trial_id": int, "epoch": int}).sort_values(["trial_id", "epoch"]).reset_index(drop=True)


def read_timeline(file: Path) -> pd.DataFrame:
    """timeline.csv by start. Raises InputError as `read_trials` does."""
    return _table_of_numbers(file, TIMELINE_COLUMNS).sort_values("start")


def _table_of_numbers(file: Path, columns: Sequence[str], others: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV of numbers alone, floats; pandas' own parser first, as 25,000 rows of text take 0.25 s.

    others: columns that the file may lack, which are NaN then.
    """
    names = list(dict.fromkeys([*columns, *map(str, others)]))
    try:
        frame = pd.read_csv(file)
        if set(columns) <= set(frame.columns) and all(map(pd.api.types.is_numeric_dtype, frame.dtypes)):
            return frame.reindex(columns=names).astype(float).replace([math.inf, -math.inf], math.nan)
    except (FileNotFoundError, pd.errors.EmptyDataError, ValueError):
        pass
    frame = _cells(file, list(columns), names)
    return pd.DataFrame({name: _numbers(file, frame, name) for name in names})


def _cells(file: Path, columns: list[str], names: list[str] | None = None) -> pd.DataFrame:
    """The columns of these names of the CSV as text cells, "" where it lacks one that is not among `columns`.

    Raises InputError when the file is no CSV or lacks one of `columns`.
    """
    names = names or columns
    try:
        frame = pd.read_csv(io.StringIO(file.read_text()), dtype=str, keep_default_na=False)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame(columns=names, dtype=str)
    except ValueError as error:  # pandas' ParserError and UnicodeDecodeError are ValueErrors
        raise InputError(f"{file}: not a valid CSV ({error})", f"{_CURE}") from error
    if lacking := [name for name in columns if name not in frame.columns]:
        raise InputError(f"{file}: no column {', '.join(lacking)}", f"{_CURE}")
    return frame.reindex(columns=names, fill_value="")


def _numbers(file: Path, frame: pd.DataFrame, column: str) -> pd.Series:
    """The column as float; an empty cell or an infinity is NaN."""
    numbers = pd.to_numeric(frame[column], errors="coerce")
    _refuse(file, numbers.isna() & ~frame[column].str.lower().isin(["", "nan"]), frame[column], f"{column}: no number")
    return numbers.astype(float).replace([math.inf, -math.inf], math.nan)


def _refuse(file: Path, faults: pd.Series, values: pd.Series, what: str) -> None:
    """Raise InputError for the first row at fault, by its line in the file."""
    if faults.any():
        first = int(faults.to_numpy().argmax())
        raise InputError(f"{file}, line {first + 2}: {what} (found {str(values.iloc[first])[:40]!r})", f"{_CURE}")
