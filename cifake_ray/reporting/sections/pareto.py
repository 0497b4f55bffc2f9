"""The Pareto front of a study with a second objective."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from cifake_ray.experiment import Metric
from cifake_ray.reporting.figures import study_figure
from cifake_ray.reporting.formatting import NOTHING, known, rows_of
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.marks import draw_statuses, good_end, status_legend
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.sections.trials import trial_rows
from cifake_ray.reporting.style import GREEN, MANY, PURPLE, VERMILLION, log_axis, new_figure, robust_limits

_AXES = {"parameters": "trained parameters", "inference_ms": "inference time (ms per image, one thread)"}
_LOG_RANGE = 20  # largest / smallest value, above which the axis is logarithmic


def build(studies: Sequence[Study]) -> Section | None:
    """A table for each study with a front."""
    tables = [
        Table(_text_rows(front_table(study)), title=f"Pareto front of {study.name}", above=sentence)
        for study in studies
        if (sentence := front_sentence(study))
    ]
    return Section(tables=tables, page=False) if tables else None


def of_study(study: Study) -> Section | None:
    """The front of one study, for its part of the page, with the figure."""
    if not (sentence := front_sentence(study)):
        return None
    table = Table(trial_rows(front_table(study)), look="trials")
    return Section("Pareto front", (sentence,), (table,), figures=(pareto,))


def _text_rows(front: pd.DataFrame) -> list[dict[str, str]]:
    return [{name: _front_cell(name, row[name]) for name in row} for row in rows_of(front)]


def _front_cell(name: str, value: Any) -> str:
    if not known(value):
        return NOTHING
    if name in set(Metric):
        return Metric(name).shown(value).removesuffix(" %")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def pareto_front(study: Study) -> pd.DataFrame:
    """The trials that none beats in one objective without losing in the other, cheapest first; rows of trials.csv.

    A stopped trial stands with what it had reached, failed ones are left out; of equals the earlier one is kept. Empty
    without a second objective or results.
    """
    trials, metric = measured_trials(study), study.experiment.search.metric
    if trials.empty:
        return trials
    second = str(study.experiment.search.second_objective)
    ordered = trials.sort_values([second, metric, "trial_id"], ascending=[True, metric.mode == "min", True])
    gain = ordered[metric].map(metric.score)
    before = gain.cummax().shift(fill_value=-math.inf)
    return ordered[gain > before].reset_index(drop=True)


def measured_trials(study: Study) -> pd.DataFrame:
    """The trials that have both objectives and did not fail."""
    second = study.experiment.search.second_objective
    if second is None:
        return study.trials.iloc[:0]
    ranked = study.ranked()
    return ranked[ranked[second].notna()]


def front_table(study: Study) -> pd.DataFrame:
    """The front for readers: trial, status, both objectives, and the searched values that any of its trials has."""
    front, search = pareto_front(study), study.experiment.search
    if front.empty:
        return front
    names = ["trial_id", "status", str(search.second_objective), search.metric, *study.dimensions]
    return front[names].dropna(axis="columns", how="all")


def front_sentence(study: Study) -> str:
    """What the front is, and which of its ends was retrained; empty without a front."""
    front, search = pareto_front(study), study.experiment.search
    if front.empty:
        return ""
    found = f"{len(front)} of {len(measured_trials(study))} trials are not beaten in both {search.metric.label} and "
    return (
        f"{found}{_AXES[str(search.second_objective)]}. The winner is the one with the best {search.metric}; the "
        "others were trained once and not tested, so their order is within the noise of one training. Early stopping "
        f"looks at {search.metric} alone: a stopped trial stands with what it had reached."
    )


@study_figure(
    "pareto",
    "Every trial by both objectives; the line is the Pareto front: none on it is beaten in both.",
)
def pareto(study: Study) -> Figure | None:
    """Every trial by its second objective and the metric, the front as a line. None without a second objective."""
    front, trials, search = pareto_front(study), measured_trials(study), study.experiment.search
    if front.empty:
        return None
    second, scale = str(search.second_objective), search.metric.scale
    figure, axes = new_figure(3.2)
    panel = axes[0, 0]
    x, y = trials[second].to_numpy(float), trials[search.metric].to_numpy(float) * scale
    draw_statuses(panel, x, y, trials["status"], many=len(trials) > MANY)
    end = float(x.max())
    costs, reached = front[second].astype(float).tolist(), (front[search.metric] * scale).tolist()
    panel.step([*costs, end], [*reached, reached[-1]], where="post", color=PURPLE, linewidth=1.4, zorder=3)
    panel.plot(costs, reached, linestyle="", marker="o", markersize=7.5, markerfacecolor="none", color=PURPLE, zorder=4)
    _mark(panel, trials, second, search.metric, study.trial("tuned").get("trial_id", -1), "*", 10, VERMILLION)
    _mark(panel, trials, second, search.metric, 0, "D", 5, GREEN)
    robust_limits(panel, y.tolist(), keep=good_end(search.metric))
    if x.min() > 0 and end / x.min() > _LOG_RANGE:
        panel.set_xlim(x.min() / 1.2, end * 1.2)
        log_axis(panel, float(x.min()) / 1.2, end * 1.2, label=_short)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    panel.tick_params(axis="x", labelsize=8)
    panel.set(xlabel=_AXES[second], ylabel=search.metric.axis)
    status_legend(figure, trials["status"])
    return figure


def _short(value: float) -> str:
    """`1.5M`, `20k`, `300`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _mark(
    axes: Axes, trials: pd.DataFrame, second: str, metric: Metric, trial: Any, marker: str, size: float, colour: str
) -> None:
    chosen = trials[trials["trial_id"] == trial]
    x, y = chosen[second].to_numpy(float), chosen[metric].to_numpy(float) * metric.scale
    axes.plot(x, y, linestyle="", marker=marker, markersize=size, color=colour, zorder=5)
