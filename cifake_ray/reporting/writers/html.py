"""A report as one HTML page that loads nothing."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup, escape

from cifake_ray.reporting.figures import Plot, inline_svg
from cifake_ray.reporting.section import Document, Section, StudyPart
from cifake_ray.reporting.terms import TERMS

_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_COMMAND = re.compile(r"`([^`]*)`")
Figure = dict[str, Any]  # svg, title, caption, height


@dataclass(frozen=True)
class Plots:
    """The drawn figures: of all studies together, and of each study in turn."""

    overview: Sequence[Plot]
    studies: Sequence[Sequence[Plot]]


def render(document: Document, plots: Plots, *, images: bool = True) -> str:
    """report.html. images: whether pictures of the data set may be in it."""
    numbers = itertools.count()  # ids within a figure begin with its number, so that no two figures share one
    overview = [_figure(next(numbers), plot) for plot in plots.overview]
    of_studies = [[_figure(next(numbers), plot) for plot in drawn] for drawn in plots.studies]
    template = _environment().get_template("report.html.j2")
    return template.render(
        head=document.head,
        first=overview[:1],
        overview=list(_shown(document.overview, images)),
        figures_over_all=columns(overview[1:]),
        studies=[
            {"part": part, "sections": list(_shown(part.sections, images)), "figures": columns(figures)}
            for part, figures in zip(document.studies, of_studies, strict=True)
        ],
        closing=list(_shown(document.closing, images)),
        anchors=_study_anchors(document.studies),
    )


def _shown(sections: Sequence[Section], images: bool) -> Iterator[tuple[str, Section]]:
    """(anchor, section) of those that the page shows: a title has an anchor where it stands alone."""
    number = itertools.count(1)
    for section in sections:
        if not section.page or (section.shows_images and not images):
            continue
        if section.figures_here or _visible(section):
            numbered = section.title and not section.minor and not section.anchor
            yield f"section-{next(number)}" if numbered else section.anchor, section


def _visible(section: Section) -> bool:
    """Whether the section has more than figures."""
    return any((section.sentences, section.tables, section.listings, section.pictures, section.remarks))


def _study_anchors(parts: Sequence[StudyPart]) -> dict[str, str]:
    return {part.name: f"study-{number}" for number, part in enumerate(parts, 1)}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cifake_ray.reporting", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["TERMS"] = TERMS
    environment.filters["commands"] = _with_commands
    return environment


def _with_commands(text: str) -> Markup:
    """The text with what stands between backticks as code."""
    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(text))))


def _figure(number: int, plot: Plot) -> Figure:
    # matplotlib escapes the text it draws; the label is escaped here
    svg = Markup(inline_svg(plot.svg, f"f{number}", str(escape(plot.caption))))
    width, height = map(float, _SIZE.findall(plot.svg)[0])
    lines = 6 + len(plot.caption) / 70  # title, margins and caption, as lines of text
    return {"svg": svg, "title": plot.title, "caption": plot.caption, "height": height / width + 0.045 * lines}


def columns(figures: Sequence[Figure]) -> list[list[Figure]]:
    """The figures in two columns that end as evenly as they can, each in the order given; the first is on the left."""
    if len(figures) < 2:
        return [list(figures)]
    heights: list[float] = [figure["height"] for figure in figures]

    def unevenness(right: tuple[bool, ...]) -> float:
        return abs(sum(-height if chosen else height for height, chosen in zip(heights, right, strict=True)))

    sides = itertools.product((False, True), repeat=len(figures) - 1)  # a study has 8 plots: 128 ways
    right = min(((False, *others) for others in sides), key=unevenness)
    return [[figure for figure, side in zip(figures, right, strict=True) if side is chosen] for chosen in (False, True)]
