"""What a report is made of: sections of one topic each, as values. Builders make sections, writers show them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from cifake_ray.reporting.figures import Drawing


@dataclass(frozen=True)
class Small:
    """A smaller text beside a cell's own. look: classes of the page's style sheet; hint: shown when pointed at."""

    text: str
    look: str = ""
    hint: str | None = None


@dataclass(frozen=True)
class Cell:
    """A cell of more than plain text, for the page. study: the one whose part of the page the text links to."""

    text: str
    small: Sequence[Small] = ()
    tag: str = ""
    study: str = ""
    strong: bool = True
    empty: bool = False


Row = Mapping[str, str | Cell]
# How the page shows a table: `cells` and `comparison` turn into cards on a phone, `facts` are names with values.
Look = Literal["cells", "comparison", "trials", "space", "facts", "board"]


@dataclass(frozen=True)
class Table:
    """Rows of text by column, with the forms that single writers show in their place.

    page: rows for the page; kinds: what each of them is (tuned, baseline, reference); terminal: rows for the terminal,
    () where it shows none; expendable: columns that a narrow terminal leaves out, the first first. above: a sentence
    before the table; fold: words that stand for it on the page until they are clicked.
    """

    rows: Sequence[Row]
    title: str = ""
    look: Look = "cells"
    page: Sequence[Row] | None = None
    kinds: Sequence[str] = ()
    terminal: Sequence[Row] | None = None
    expendable: Sequence[str] = ()
    above: str = ""
    fold: str = ""
    unfolded: bool = False


@dataclass(frozen=True)
class Listing:
    """Lines of the page to be copied (code), or looked up. fold: words that stand for them until they are clicked."""

    lines: Sequence[str]
    title: str = ""
    fold: str = ""
    code: bool = True


@dataclass(frozen=True)
class Picture:
    """An image and its overlay as data addresses, and what they show."""

    image: str
    overlay: str
    caption: str


@dataclass(frozen=True)
class Section:
    """One topic of a report. Every writer shows title, sentences, tables and method; each part may be empty.

    sentences: paragraphs, a list or a warning, as `look` says. figures: drawn by the report; the page shows those of
    all its sections together, in the place of the section that has `figures_here`. method: how to read the tables.

    What single writers show. Page: `page_title` in place of the title, `anchor`, `listings`, `pictures` (a section that
    `shows_images` is left out with them) and `remarks`, in which backticks mark commands; a `minor` section stands
    below the one before it; `page` is False where the page has the same beside each study. Terminal: `brief` in place
    of the sentences. CSV: `data`, tables by file name. Limits of the report: `caveats`, gathered from all sections.
    """

    title: str = ""
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Drawing[Any]] = ()
    method: str = ""
    look: Literal["text", "list", "warning"] = "text"
    figures_here: bool = False
    page_title: str = ""
    anchor: str = ""
    minor: bool = False
    page: bool = True
    listings: Sequence[Listing] = ()
    pictures: Sequence[Picture] = ()
    shows_images: bool = False
    remarks: Sequence[str] = ()
    brief: Sequence[str] = ()
    data: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    caveats: Sequence[str] = ()


def figures_alone(*figures: Drawing[Any]) -> Callable[[object], Section]:
    """A builder of a section that has only these figures."""
    return lambda _: Section(figures=figures)


@dataclass(frozen=True)
class StudyPart:
    """The sections of one study, which the page shows."""

    name: str
    model: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class Document:
    """A report before it is written: its head, sections over all studies, those of each study, what closes it."""

    head: Section
    overview: Sequence[Section]
    studies: Sequence[StudyPart]
    closing: Sequence[Section]
