"""Marks that figures share: the dots of trials by status, and a colour, dash and marker for each study."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from cifake_ray.experiment import Metric
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.style import (
    BLUE,
    CARD,
    GREEN,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    legend_above,
    legend_height,
    new_figure,
)

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS = "osD^vP"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))


def scale_of(column: str) -> float:
    """The factor from a column of curves.csv to what is drawn; training figures are drawn as those of validation."""
    return Metric(column.replace("train_", "val_")).scale


def good_end(metric: Metric) -> str:
    """`high` where large values are good, `low` where small ones are, as `robust_limits` takes it."""
    return "high" if metric.mode == "max" else "low"


def best_until(metric: Metric, values: np.ndarray) -> np.ndarray:
    """The best of the values up to each: float [n]."""
    best: np.ndarray = (np.maximum if metric.mode == "max" else np.minimum).accumulate(values)
    return best


def draw_statuses(axes: Axes, x: Any, y: Any, status: pd.Series, *, many: bool = False) -> None:
    """One dot a trial: filled where it ran all its epochs, hollow and grey where it was stopped before."""
    full = (status == "completed").to_numpy()
    for chosen, face, edge, label in ((~full, CARD, MUTED, "not completed"), (full, BLUE, BLUE, "completed")):
        if chosen.any():
            axes.plot(np.asarray(x)[chosen], np.asarray(y)[chosen], linestyle="", marker="o", markersize=4.2,
                      label=label, color=edge, markerfacecolor=face, rasterized=many)  # fmt: skip


def status_legend(figure: Figure, status: pd.Series) -> None:
    """Entries for the statuses that these trials have, for the best one and the baseline."""
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4.2}
    completed = (status == "completed").to_numpy()
    full = Line2D([], [], markerfacecolor=BLUE, markeredgecolor=BLUE, label="completed", **dot)
    cut = Line2D([], [], markerfacecolor=CARD, markeredgecolor=MUTED, label="not completed", **dot)
    handles = [
        *([full] if completed.any() else []),
        *([] if completed.all() else [cut]),
        Line2D([], [], linestyle="", marker="*", markersize=9, color=VERMILLION, label="best"),
        Line2D([], [], linestyle="", marker="D", markersize=5, color=GREEN, label="baseline"),
    ]
    legend_above(figure, handles)


def one_panel(height: float, labels: Sequence[str]) -> tuple[Figure, Axes]:
    """A panel that is as high whatever stands in its legend."""
    figure, axes = new_figure(height + legend_height(labels))
    return figure, axes[0, 0]


def rows_panel(names: Sequence[str], labels: Sequence[str], left: float = 1.0) -> tuple[Figure, Axes]:
    """A panel with one band for each name."""
    height = 0.55 + len(names) * max(0.2, 0.09 * len(labels)) + legend_height(labels)
    figure, axes = new_figure(height, left=left)
    panel = axes[0, 0]
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.yaxis.set_major_locator(FixedLocator(range(len(names))))
    panel.set_ylim(len(names) - 0.45, -0.55)
    panel.grid(axis="y", visible=False)
    for row in range(1, len(names), 2):
        panel.axhspan(row - 0.5, row + 0.5, color=MUTED, alpha=0.1, linewidth=0)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure, panel


def study_offset(rank: int, entries: int) -> float:
    """Distance from the middle of a band at which the entry of this rank is drawn."""
    return 0.0 if entries == 1 else 0.6 * (rank / (entries - 1) - 0.5)


def study_dot(axes: Axes, x: float, y: float, number: int, *, hollow: bool = False) -> None:
    """A dot in the colour and shape of the study at `number` in the report."""
    colour = _COLOURS[number % 6]
    axes.plot([x], [y], linestyle="", marker=_MARKERS[number % 6], markersize=4.5, color=colour,
              markerfacecolor=CARD if hollow else colour, markeredgewidth=1.2)  # fmt: skip


def study_line(number: int) -> dict[str, Any]:
    """A colour and a pattern of dashes for each study, the same in every figure."""
    return {"color": _COLOURS[number % 6], "linestyle": _DASHES[number % 5], "linewidth": 1.5}


def short_name(study: Study) -> str:
    """The name of the study in at most 26 characters."""
    return study.name if len(study.name) <= 26 else study.name[:25] + "…"


def study_handle(axes: Axes, number: int, label: str) -> None:
    """An entry of the legend for a study that is drawn in dots."""
    axes.plot([], [], linestyle="", marker=_MARKERS[number % 6], color=_COLOURS[number % 6], label=label)


def study_span(axes: Axes, low: float, high: float, y: float, number: int) -> None:
    """A horizontal line from `low` to `high`."""
    axes.plot([low, high], [y, y], color=_COLOURS[number % 6], linewidth=1.4)


def study_marker(number: int) -> str:
    """Shape of the dots of the study at `number` in the report."""
    return _MARKERS[number % 6]
