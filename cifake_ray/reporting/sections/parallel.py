"""Every configuration of a search as a line through its values."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from cifake_ray.experiment import CategoricalDimension, Dimension
from cifake_ray.reporting.figures import study_figure
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import figures_alone
from cifake_ray.reporting.style import BLUE, INK, MANY, MUTED, VERMILLION, legend_above, new_figure

_TOP = 0.1  # share of trials drawn as good ones


@study_figure(
    "parallel-coordinates",
    "Every trial as a line through its configuration, to what it reached.",
)
def parallel_coordinates(study: Study) -> Figure | None:
    """Every trial as a line through its values, the study's metric last: the best tenth blue, the best orange-red."""
    metric, names = study.experiment.search.metric, study.dimensions
    trials = study.ranked()
    trials = trials[trials[names].notna().all(axis=1)]
    if len(trials) < 2 or not names:
        return None
    space = [study.experiment.search_space[name] for name in names]
    values = trials[metric].to_numpy(float) * metric.scale
    low, high = float(np.percentile(values, 5)), float(values.max())
    if metric.mode == "min":
        low, high = float(values.min()), float(np.percentile(values, 95))
    last = np.clip((values - low) / ((high - low) or 1), -0.02, 1.02)
    columns = [_height(trials[name], dimension) for name, dimension in zip(names, space, strict=True)]
    heights = np.column_stack([*columns, last])
    figure, axes = new_figure(3.4)
    _draw_configurations(axes[0, 0], heights)
    labels = [*map(_ends, space), (f"{low:.4g}", f"{high:.4g}")]
    _draw_axes(axes[0, 0], [*names, metric.axis.replace("validation ", "validation\n")], labels, space)
    legend_above(figure, axes[0, 0].get_legend_handles_labels()[0])
    figure.subplots_adjust(left=0.09, right=0.9, bottom=0.6 / 3.4, top=figure.subplotpars.top - 0.16 / 3.4)
    return figure


def _height(values: pd.Series, dimension: Dimension) -> np.ndarray:
    """0..1 within the dimension's bounds, choices evenly, each spread a little so that lines do not hide each other."""
    if isinstance(dimension, CategoricalDimension):
        order = {str(choice): rank for rank, choice in enumerate(dimension.choices)}
        spread = (np.arange(len(values)) * 0.618034 % 1 - 0.5) * 0.35 / max(len(order), 2)
        return values.map(order).to_numpy(float) / max(len(order) - 1, 1) + spread
    low, high = dimension.bounds
    numbers = values.to_numpy(float)
    if dimension.log:
        low, high, numbers = math.log(low), math.log(high), np.log(numbers)
    scaled: np.ndarray = (numbers - low) / ((high - low) or 1)
    return scaled


def _draw_configurations(axes: Axes, heights: np.ndarray) -> None:
    """Rows are trials, best first; the best are drawn last, in front."""
    lines = np.stack([np.broadcast_to(np.arange(heights.shape[1]), heights.shape), heights], axis=2)
    good = max(3, math.ceil(_TOP * len(lines)))
    name = "best tenth" if len(lines) > 30 else f"best {good}"
    many = lines.size > 2 * MANY
    for chosen, colour, width, alpha, label in (
        (lines[good:], MUTED, 0.8, 0.7, "other trials"),
        (lines[1:good], BLUE, 1.0, 0.8, name),
        (lines[:1], VERMILLION, 2.0, 1.0, "best"),
    ):
        if len(chosen):
            axes.add_collection(
                LineCollection(list(chosen), colors=colour, linewidths=width, alpha=alpha, label=label, rasterized=many)
            )
    axes.set_xlim(0, heights.shape[1] - 1)
    axes.set_ylim(-0.06, 1.06)


def _wrapped(name: str) -> str:
    """The name in lines that fit under their own axis."""
    return name.replace("_", "_\n") if len(name) > 9 else name


def _ends(dimension: Dimension) -> tuple[str, str]:
    if isinstance(dimension, CategoricalDimension):
        return "", ""
    return f"{dimension.bounds[0]:g}", f"{dimension.bounds[1]:g}"


def _draw_axes(axes: Axes, names: list[str], ends: list[tuple[str, str]], space: list[Dimension]) -> None:
    """One vertical line a column; bounds at its ends, choices along it."""
    small: dict[str, Any] = {"fontsize": 7, "color": INK}
    for x, (low, high) in enumerate(ends):
        axes.axvline(x, color=MUTED, linewidth=0.8, zorder=1)
        align: dict[str, Any] = {"ha": "left" if x == 0 else "right" if x == len(ends) - 1 else "center"}
        axes.annotate(low, (x, -0.06), (0, -9), textcoords="offset points", **align, **small)
        axes.annotate(high, (x, 1.06), (0, 2), textcoords="offset points", **align, **small)
    for x, dimension in enumerate(space):
        choices = dimension.choices if isinstance(dimension, CategoricalDimension) else ()
        for rank, choice in enumerate(choices):
            height = rank / max(len(choices) - 1, 1)
            axes.annotate(str(choice), (x, height), (3, 0), textcoords="offset points", va="center", **small,
                          bbox={"facecolor": "#fefefe", "edgecolor": "none", "alpha": 0.92, "pad": 0.8},
                          zorder=6)  # fmt: skip
    crowded = len(names) > 4
    axes.set_xticks(range(len(names)), [_wrapped(name) for name in names], fontsize=7 if crowded else 7.5, ha="center")
    axes.tick_params(axis="x", pad=12, length=0)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)


of_study = figures_alone(parallel_coordinates)
