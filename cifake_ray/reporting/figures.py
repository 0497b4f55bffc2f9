"""Figures of a report: what declares one, and its files."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure

from cifake_ray.reporting.load import Study
from cifake_ray.reporting.style import COLOURS, DPI, STYLE

Data = TypeVar("Data")


@dataclass(frozen=True)
class Drawing(Generic[Data]):
    """A figure of a section: name of its file, title, caption, and the function that draws it (None without data).

    of_study: whether a study has one each, or all studies one together. png: whether a PNG is written beside the SVG,
    which takes as long again.
    """

    name: str
    title: str
    caption: str
    png: bool
    of_study: bool
    draw: Callable[[Data], Figure | None]

    def __call__(self, data: Data) -> Figure | None:
        """The figure in the style of the report; matplotlib's own settings are the caller's again afterwards."""
        with mpl.rc_context(STYLE):
            return self.draw(data)


DRAWINGS: dict[str, Drawing[Any]] = {}  # by name, of all sections
OverviewDraw = Callable[[Sequence[Study]], Figure | None]
StudyDraw = Callable[[Study], Figure | None]


def overview_figure(
    name: str, caption: str, *, title: str = "", png: bool = False
) -> Callable[[OverviewDraw], Drawing[Sequence[Study]]]:
    """Decorate a function from all studies to their figure, which becomes `plots/<name>.svg`."""
    return lambda draw: _declared(Drawing(name, title or _words(name), caption, png, False, draw))


def study_figure(
    name: str, caption: str, *, title: str = "", png: bool = False
) -> Callable[[StudyDraw], Drawing[Study]]:
    """Decorate a function from a study to its figure, which becomes `plots/<study>-<name>.svg`."""
    return lambda draw: _declared(Drawing(name, title or _words(name), caption, png, True, draw))


def _declared(drawing: Drawing[Data]) -> Drawing[Data]:
    if drawing.name in DRAWINGS:
        raise ValueError(f"two figures are called {drawing.name}")
    DRAWINGS[drawing.name] = drawing
    return drawing


def _words(name: str) -> str:
    return name.replace("-", " ").capitalize()


@dataclass(frozen=True)
class Plot:
    """A drawn figure: its file name without ending, title, what it shows."""

    slug: str
    title: str
    caption: str
    svg: str
    png: bytes | None


def drawn(drawings: Sequence[Drawing[Data]], data: Data, prefix: str = "") -> list[Plot]:
    """The figures for which there is data, encoded; `prefix` begins their file names."""
    found = ((drawing, drawing(data)) for drawing in drawings)
    return [
        Plot(prefix + drawing.name, drawing.title, drawing.caption, *encode(figure, png=drawing.png))
        for drawing, figure in found
        if figure is not None
    ]


def encode(figure: Figure, *, png: bool) -> tuple[str, bytes | None]:
    """The figure as SVG with its text as text, and on demand as PNG (150 dpi); the same bytes for the same figure."""
    pixels, svg = io.BytesIO(), io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(svg, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None})
        if png:
            figure.savefig(pixels, format="png", dpi=DPI)
    return svg.getvalue(), pixels.getvalue() if png else None


def inline_svg(svg: str, prefix: str, label: str) -> str:
    """The SVG for a page: colours as the page's variables, ids that no other figure has, a label.

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
