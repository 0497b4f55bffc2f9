"""How every figure looks: size, palette, and its files. No pyplot, so nothing here is shared between callers.

Figures are as wide as a phone's column (4.4 inch), so that their text keeps its size there; pages lay them in a grid.
"""

import functools
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

WIDTH = 4.4  # inch
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

_STYLE: Any = {
    "font.size": 9.0, "font.family": "sans-serif", "axes.titlesize": 9.5, "axes.labelsize": 9.0, "legend.fontsize": 8.0,
    "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "axes.edgecolor": MUTED, "grid.color": GRID, "grid.linewidth": 0.7, "legend.frameon": False,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.titlecolor": INK,
    "figure.facecolor": CARD, "axes.facecolor": CARD, "savefig.facecolor": CARD,
    "text.parse_math": False,  # a study may have a dollar sign in its name
    "svg.fonttype": "none", "svg.hashsalt": "cifake-ray", "path.simplify": True, "lines.linewidth": 1.8,
}  # fmt: skip
P = ParamSpec("P")


@dataclass(frozen=True)
class Plot:
    """A drawn figure: its file name without ending, the study it belongs to ("" for all), title, what it shows."""

    slug: str
    study: str
    title: str
    caption: str
    svg: str
    png: bytes | None


def styled(draw: Callable[P, Figure | None]) -> Callable[P, Figure | None]:
    """Let `draw` work in this module's style; matplotlib's own settings are the caller's again afterwards."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure | None:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return wrapped


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


def encode(figure: Figure, *, png: bool) -> tuple[str, bytes | None]:
    """The figure as SVG with its text as text, and on demand as PNG (150 dpi); the same bytes for the same figure."""
    pixels, svg = io.BytesIO(), io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(svg, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None})
        if png:
            figure.savefig(pixels, format="png", dpi=DPI)
    return svg.getvalue(), pixels.getvalue() if png else None


def inline_svg(svg: str, prefix: str, label: str) -> str:
    """The SVG for a place inside a page: colours as the page's variables, ids that no other figure has, a label.

    prefix: letters, digits and hyphens; label: text that is already escaped for an HTML attribute.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{prefix}-", body)
    body = re.sub(
        r'^<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg \1 {_NAMESPACES} role="img" aria-label="{label}">', body
    )
    for name, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{name})")
    return body


_NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def percent_axis(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def whole_ticks(axes: Axes) -> None:
    """Epochs and trials are whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def legend_above(axes: Axes, columns: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=1.6,
                columnspacing=1.1, handletextpad=0.5, borderpad=0.1)  # fmt: skip


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
