"""What each searched hyperparameter did to the result of a trial."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from cifake_ray.experiment import CategoricalDimension, Dimension, Metric
from cifake_ray.reporting.figures import study_figure
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.marks import draw_statuses, good_end, status_legend
from cifake_ray.reporting.section import figures_alone
from cifake_ray.reporting.style import GREEN, MANY, VERMILLION, log_axis, new_figure, robust_limits

_COLUMNS = 2
_PANEL_POINTS = 90.0  # a panel's axis within its bounds


@study_figure(
    "hyperparameters",
    "What each trial reached against every searched hyperparameter.",
)
def hyperparameters(study: Study) -> Figure | None:
    """The study's metric against every searched name, log axes where the space is log. None without results."""
    metric = study.experiment.search.metric
    trials = study.trials[study.trials[metric].notna() & (study.trials["status"] != "failed")]
    if trials.empty or not study.dimensions:
        return None
    rows = math.ceil(len(study.dimensions) / _COLUMNS)
    more = 0.14 * max(_label_lines(study.experiment.search_space[name]) - 1 for name in study.dimensions)  # inch
    height = 0.45 + (1.9 + more) * rows
    figure, axes = new_figure(height, rows, _COLUMNS, sharey=True)
    figure.subplots_adjust(hspace=0.45 + more, bottom=(0.5 + more) / height)
    for panel, name in zip(axes.flat, study.dimensions, strict=False):
        _draw_dimension(panel, study, trials, name, metric)
    for panel in axes.flat[len(study.dimensions) :]:
        panel.set_visible(False)
    robust_limits(axes[0, 0], (trials[metric] * metric.scale).tolist(), keep=good_end(metric))
    for panel in axes[:, 0]:
        panel.set_ylabel(metric.axis)
    status_legend(figure, trials["status"])
    return figure


def _draw_dimension(axes: Axes, study: Study, trials: pd.DataFrame, name: str, metric: Metric) -> None:
    dimension = study.experiment.search_space[name]
    x = _positions(trials[name], dimension)
    y = trials[metric].to_numpy(float) * metric.scale
    draw_statuses(axes, x, y, trials["status"], many=len(trials) > MANY)
    numbers = trials["trial_id"].to_numpy()
    best = study.trial("tuned").get("trial_id", -1)
    for number, marker, size, colour in ((0, "D", 5, GREEN), (best, "*", 10, VERMILLION)):
        at = numbers == number
        axes.plot(x[at], y[at], linestyle="", marker=marker, markersize=size, color=colour, zorder=5)
    axes.set_xlabel(name)
    _scale_axis(axes, dimension)


def _positions(values: pd.Series, dimension: Dimension) -> Any:
    """x of each trial; choices stand at 0, 1, …, spread a little so that equal trials do not hide each other."""
    if not isinstance(dimension, CategoricalDimension):
        return values.to_numpy(float, na_value=math.nan)
    order = {str(choice): rank for rank, choice in enumerate(dimension.choices)}
    spread = (np.arange(len(values)) * 0.618034 % 1 - 0.5) * 0.24  # golden ratio: even, and the same every time
    return values.map(order).to_numpy(float) + spread


def _choice_labels(dimension: CategoricalDimension) -> list[str]:
    return [str(choice).replace("+", "+\n") for choice in dimension.choices]


def _label_lines(dimension: Dimension) -> int:
    """Lines of the longest label under the dimension's axis."""
    labels = _choice_labels(dimension) if isinstance(dimension, CategoricalDimension) else [""]
    return 1 + max(label.count("\n") for label in labels)


def _scale_axis(axes: Axes, dimension: Dimension) -> None:
    if isinstance(dimension, CategoricalDimension):
        labels = _choice_labels(dimension)
        widest = max(len(line) for label in labels for line in label.split("\n"))
        small: dict[str, Any] = {"fontsize": 7.5} if widest * len(labels) > 18 else {}
        axes.set_xticks(range(len(labels)), labels, **small)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        return
    if dimension.log:
        low, high = map(float, dimension.bounds)
        axes.set_xlim(low / (high / low) ** 0.05, high * (high / low) ** 0.05)
        log_axis(axes, low, high, _PANEL_POINTS)
        return
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(axis="x", labelsize=8)


of_study = figures_alone(hyperparameters)
