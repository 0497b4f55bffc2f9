"""The Pareto front of a study with a second objective, drawn."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from cifake_ray.reporting.figures import GREEN, MANY, PURPLE, VERMILLION, log_axis, new_figure, robust_limits, styled
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.pareto import LABELS, measured_trials, pareto_front
from cifake_ray.reporting.plots import draw_statuses, metric_label, scale_of, status_legend

_LOG_RANGE = 20  # largest / smallest value, above which the axis is logarithmic


@styled
def pareto_plot(study: Study) -> Figure | None:
    """Every trial by its second objective and the metric, the front as a line. None without a second objective."""
    front, trials, search = pareto_front(study), measured_trials(study), study.experiment.search
    if front.empty:
        return None
    second, scale = str(search.second_objective), scale_of(search.metric)
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
    robust_limits(panel, y.tolist(), keep="low" if search.metric == "val_loss" else "high")
    if x.min() > 0 and end / x.min() > _LOG_RANGE:
        panel.set_xlim(x.min() / 1.2, end * 1.2)
        log_axis(panel, float(x.min()) / 1.2, end * 1.2, label=_short)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    panel.tick_params(axis="x", labelsize=8)
    panel.set(xlabel=LABELS[second], ylabel=metric_label(search.metric))
    status_legend(figure, trials["status"])
    return figure


def _short(value: float) -> str:
    """`1.5M`, `20k`, `300`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _mark(
    axes: Axes, trials: pd.DataFrame, second: str, metric: str, trial: Any, marker: str, size: float, colour: str
) -> None:
    chosen = trials[trials["trial_id"] == trial]
    x, y = chosen[second].to_numpy(float), chosen[metric].to_numpy(float) * scale_of(metric)
    axes.plot(x, y, linestyle="", marker=marker, markersize=size, color=colour, zorder=5)
