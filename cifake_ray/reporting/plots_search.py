"""Plots of what the search found: accuracy against each hyperparameter, and the rows of the comparison side by side."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cifake_ray.experiment import CategoricalDimension, Dimension
from cifake_ray.reporting.figures import (
    BLUE,
    CARD,
    GREEN,
    INK,
    MANY,
    MUTED,
    VERMILLION,
    new_figure,
    percent_axis,
    robust_limits,
    styled,
)
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.plots import draw_statuses, metric_label, scale_of, status_legend

_COLUMNS = 2
_PANEL_POINTS, _CHARACTER_POINTS = 105.0, 5.0  # a panel's axis, a digit of 8 points
_SPLITS = (("train", "training", "^", MUTED), ("val", "validation", "s", VERMILLION), ("test", "test", "o", BLUE))


@styled
def hyperparameters(study: Study) -> Figure | None:
    """The study's metric against every searched name, log axes where the space is log. None without results."""
    metric = study.experiment.search.metric
    trials = study.trials[study.trials[metric].notna() & (study.trials["status"] != "failed")]
    if trials.empty or not study.dimensions:
        return None
    rows = math.ceil(len(study.dimensions) / _COLUMNS)
    height = 0.45 + 2.15 * rows
    figure, axes = new_figure(height, rows, _COLUMNS, sharey=True)
    figure.subplots_adjust(top=1 - 0.34 / height, bottom=0.5 / height, hspace=0.55)
    for panel, name in zip(axes.flat, study.dimensions, strict=False):
        _draw_dimension(panel, study, trials, name, metric)
    for panel in axes.flat[len(study.dimensions) :]:
        panel.set_visible(False)
    robust_limits(
        axes[0, 0], (trials[metric] * scale_of(metric)).tolist(), keep="low" if metric == "val_loss" else "high"
    )
    for panel in axes[:, 0]:
        panel.set_ylabel(metric_label(metric))
    status_legend(axes[0, 0], trials["status"])
    return figure


def _draw_dimension(axes: Axes, study: Study, trials: pd.DataFrame, name: str, metric: str) -> None:
    dimension = study.experiment.search_space[name]
    x = _positions(trials[name], dimension)
    y = trials[metric].to_numpy(float) * scale_of(metric)
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
    places = {str(choice): place for place, choice in enumerate(dimension.choices)}
    spread = (np.arange(len(values)) * 0.618034 % 1 - 0.5) * 0.24  # golden ratio: even, and the same every time
    return values.map(places).to_numpy(float) + spread


def _scale_axis(axes: Axes, dimension: Dimension) -> None:
    if isinstance(dimension, CategoricalDimension):
        labels = [str(choice).replace("+", "+\n") for choice in dimension.choices]
        small: dict[str, Any] = {"fontsize": 7} if max(map(len, map(str, dimension.choices))) * len(labels) > 18 else {}
        axes.set_xticks(range(len(labels)), labels, **small)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        return
    if dimension.log:
        axes.set_xscale("log")
        low, high = dimension.bounds
        axes.set_xlim(low / (high / low) ** 0.05, high * (high / low) ** 0.05)
        axes.xaxis.set_major_locator(FixedLocator(log_ticks(float(low), float(high))))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(axis="x", labelsize=8)


def log_ticks(low: float, high: float) -> list[float]:
    """Values of 1-2-5 decades between the bounds of a log axis, as many as have room for their labels."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{step}e{decade}") for decade in decades for step in (1, 2, 5)]
    inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    if len(inside) < 2:
        inside = [low, high]
    kept: list[float] = []
    free = -math.inf  # points along the axis from which on nothing is written yet
    for tick in inside:
        at = _PANEL_POINTS * math.log(tick / low) / math.log(high / low)
        half = _CHARACTER_POINTS * len(f"{tick:g}") / 2
        if at - half >= free:
            kept.append(tick)
            free = at + half + _CHARACTER_POINTS
    return kept


@styled
def comparison(frame: pd.DataFrame) -> Figure | None:
    """Training, validation and test accuracy with 95 % intervals, a band for each row; claims of others hollow."""
    rows = frame[frame[["train_accuracy", "val_accuracy", "test_accuracy"]].notna().any(axis=1)]
    if rows.empty:
        return None
    height = 0.95 + 0.46 * len(rows)
    figure, axes = new_figure(height, left=1.55)
    panel = axes[0, 0]
    for place, row in enumerate(rows.to_dict("records")):
        _draw_row(panel, place, {str(key): value for key, value in row.items()})
    panel.set_yticks(range(len(rows)), [_row_label(row) for row in rows.to_dict("records")], fontsize=8)
    panel.yaxis.set_major_locator(FixedLocator(range(len(rows))))
    panel.set_ylim(len(rows) - 0.45, -0.55)
    panel.grid(axis="y", visible=False)
    panel.set_xlabel("accuracy (%), 95 % interval")
    percent_axis(panel.xaxis)
    _comparison_legend(figure)
    return figure


def _draw_row(axes: Axes, place: int, row: dict[str, Any]) -> None:
    if place % 2:
        axes.axhspan(place - 0.5, place + 0.5, color=MUTED, alpha=0.1, linewidth=0)
    claim = row["role"] == "reference"
    for offset, (split, _, marker, colour) in zip((-0.24, 0.0, 0.24), _SPLITS, strict=True):
        value, low, high = _values(row, split)
        if math.isnan(value):
            continue
        y = place + offset
        axes.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=1.6)
        axes.plot([100 * value], [y], marker=marker, markersize=5.5, color=colour, linestyle="",
                  markerfacecolor=CARD if claim else colour, markeredgewidth=1.3)  # fmt: skip


def _values(row: dict[str, Any], split: str) -> tuple[float, float, float]:
    """(value, low, high) of a split; test is the headline: without duplicates where that is measured."""
    value = row[f"{split}_accuracy"]
    if split == "test" and not math.isnan(row["test_accuracy_dedup"]):
        value = row["test_accuracy_dedup"]
    return value, row[f"{split}_low"], row[f"{split}_high"]


def _row_label(row: dict[Any, Any]) -> str:
    name = row["study"] if row["role"] != "reference" else f"{row['study']} *"
    second = row["role"] if row["role"] != "reference" else row["model"]
    if row["generated"] is True:
        second += " (sample)"
    return f"{_short(name)}\n{_short(second)}"


def _short(text: str) -> str:
    return text if len(text) <= 22 else text[:21] + "…"


def _comparison_legend(figure: Figure) -> None:
    handles = [
        Line2D([], [], linestyle="", marker=marker, markersize=5.5, color=colour, label=name)
        for _, name, marker, colour in _SPLITS
    ]
    handles.append(Line2D([], [], linestyle="", marker="o", markersize=5.5, markerfacecolor=CARD, markeredgecolor=INK,
                          label="hollow *: claim of others"))  # fmt: skip
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=4, handletextpad=0.1,
                  columnspacing=0.9)  # fmt: skip
