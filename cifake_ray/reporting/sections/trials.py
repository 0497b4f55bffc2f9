"""Every trial of a study."""

from typing import Any

import pandas as pd

from cifake_ray.reporting.formatting import known, percent, setting
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table

_SHOWN = 10  # trials shown before the rest is folded away


def of_study(study: Study) -> Section:
    """The best trials, and all of them folded away where there are many."""
    rows = trial_rows(study.trials)
    if not rows:
        return Section("Trials", remarks=("No trial has been recorded yet.",))
    best = trial_rows(study.ranked().head(_SHOWN if len(study.trials) > _SHOWN else 0))
    everything = Table(rows, look="trials", fold=f"All {len(rows)} trials", unfolded=not best)
    if not best:
        return Section("Trials", tables=(everything,))
    above = f"The best {len(best)}, accuracies in percent:"
    return Section("Trials", tables=(Table(best, look="trials", above=above), everything))


def trial_rows(trials: pd.DataFrame) -> list[dict[str, str]]:
    """Columns in which any trial has something, and their cells: accuracies in percent, seconds with one decimal."""
    columns = {str(name): [_trial_cell(str(name), value) for value in trials[name].tolist()] for name in trials.columns}
    columns = {name.replace("_", " "): column for name, column in columns.items() if any(column)}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _trial_cell(name: str, value: Any) -> str:
    if not known(value):
        return ""
    if name.endswith("accuracy"):
        return percent(value)
    if name in ("seconds", "cpu_seconds"):
        return f"{value:.1f}"
    return setting(value)
