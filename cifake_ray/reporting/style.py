"""How every figure looks: size, palette, axes, legends. No pyplot, so nothing here is shared between callers.

Figures are 3.9 inch wide: scaled to a phone's column of 344 CSS pixels, text of 8 points has 9.8 pixels there.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

WIDTH = 3.9  # inch
DPI = 150
# Okabe and Ito's colour-blind-safe palette (jfly.uni-koeln.de/color), and neutral tones. A page replaces each by the
# style variable of the same name, which has another value in the dark.
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY = "#e69f00", "#56b4e9"
INK, MUTED, GRID, CARD = "#1b1f24", "#8b929a", "#dfe3e8", "#fefefe"
COLOURS = {
    "blue": BLUE, "vermillion": VERMILLION, "green": GREEN, "purple": PURPLE, "orange": ORANGE, "sky": SKY,
    "ink": INK, "muted": MUTED, "grid": GRID, "card": CARD,
}  # fmt: skip
MANY = 4_000  # points of a collection above which it is drawn as pixels: an SVG of 25,000 vertices chokes a phone

STYLE: Any = {
    "font.size": 9.0, "font.family": "sans-serif", "axes.titlesize": 9.5, "axes.labelsize": 9.0, "legend.fontsize": 8.0,
    "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "axes.edgecolor": MUTED, "grid.color": GRID, "grid.linewidth": 0.7, "legend.frameon": False,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.titlecolor": INK,
    "figure.facecolor": CARD, "axes.facecolor": CARD, "savefig.facecolor": CARD,
    "text.parse_math": False,  # a study may have a dollar sign in its name
    "svg.fonttype": "none", "svg.hashsalt": "cifake-ray", "path.simplify": True, "lines.linewidth": 1.8,
}  # fmt: skip
_CHARACTER, _HANDLE = 4.6, 27.0  # points in a legend: a character of 8 points; a handle with the space around it
_DIGIT = 5.0  # points: a digit of 8 points


def new_figure(
    height: float, rows: int = 1, columns: int = 1, *, left: float = 0.62, **shared: Any
) -> tuple[Figure, Any]:
    """(figure, axes [rows, columns]) of WIDTH x height inch; margins are fixed, as measuring them costs a drawing."""
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    figure.subplots_adjust(
        left=left / WIDTH, right=1 - 0.14 / WIDTH, top=1 - 0.32 / height, bottom=0.5 / height,
        hspace=0.3, wspace=0.12,
    )  # fmt: skip
    return figure, axes


def percent_axis(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def log_axis(
    axes: Axes, low: float, high: float, points: float = 215.0, label: Callable[[float], str] = "{:g}".format
) -> None:
    """Make x logarithmic, with labels of 1-2-5 decades from `low` to `high`, which are `points` apart."""
    limits = axes.get_xlim()
    axes.set_xscale("log")
    axes.set_xlim(limits)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(low, high, points, label)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axes.tick_params(axis="x", labelsize=8)


def log_ticks(low: float, high: float, points: float, label: Callable[[float], str]) -> list[float]:
    """Values of 1-2-5 decades between the bounds of a log axis, as many as have room for their labels."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{step}e{decade}") for decade in decades for step in (1, 2, 5)]
    inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    if len(inside) < 2:
        inside = [low, high]
    kept: list[float] = []
    free = -math.inf  # points along the axis from which on nothing is written yet
    for tick in inside:
        at = points * math.log(tick / low) / math.log(high / low)
        half = _DIGIT * len(label(tick)) / 2
        if at - half >= free:
            kept.append(tick)
            free = at + half + _DIGIT
    return kept


def whole_ticks(axes: Axes) -> None:
    """Epochs and trials are whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def legend_columns(labels: Sequence[str]) -> int:
    """Into how many columns of a legend these labels fit, at most 4: by their lengths, as measuring costs a drawing."""
    for columns in range(min(4, len(labels)), 1, -1):
        more = len(labels) % columns  # of the first columns, which have an entry more than the others
        starts = [len(labels) // columns * column + min(column, more) for column in range(columns)]
        widest = [max(map(len, labels[start:end])) for start, end in pairwise([*starts, len(labels)])]
        if sum(_CHARACTER * length + _HANDLE for length in widest) < 72 * WIDTH:
            return columns
    return 1


def legend_height(labels: Sequence[str]) -> float:
    """Inches above the axes that a legend with these labels takes."""
    return 0.18 + 0.165 * -(-len(labels) // legend_columns(labels))


def legend_above(figure: Figure, handles: Sequence[Any]) -> None:
    """A legend over the whole width, above the axes, which make room for it."""
    labels = [str(handle.get_label()) for handle in handles]
    figure.subplots_adjust(top=1 - legend_height(labels) / figure.get_figheight())
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=legend_columns(labels),
                  handlelength=1.8, columnspacing=1.0, handletextpad=0.5, borderpad=0.2, labelspacing=0.3)  # fmt: skip


def robust_limits(axes: Axes, values: Sequence[float], *, keep: str) -> None:
    """Y limits that a few diverged trials cannot stretch: the 5 % worst may be cut, the best never are.

    keep: "high" where large values are good, "low" where small ones are.
    """
    ordered = sorted(value for value in values if value == value)
    if len(ordered) < 2 or ordered[0] == ordered[-1]:
        return
    cut = len(ordered) // 20
    low, high = (ordered[cut], ordered[-1]) if keep == "high" else (ordered[0], ordered[-1 - cut])
    margin = 0.06 * (high - low) or 1e-6
    axes.set_ylim(low - margin, high + margin)
