"""A report as Markdown: every section over all studies, one after another."""

import html
import re
from collections.abc import Sequence

from cifake_ray.reporting.section import Cell, Document, Row, Section, Table


def markdown(document: Document) -> str:
    """comparison.md: what was reached, what it took, the notes that make the numbers readable."""
    head = document.head
    parts = [f"# {head.title}", _bullets(head.sentences)]
    for section in (*document.overview, *document.closing):
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    """Lines of the section's parts; [] without sentences and tables."""
    if not section.sentences and not section.tables:
        return []
    parts = [f"## {_escaped(section.title)}"] if section.title else []
    if section.sentences:
        parts += [_bullets(section.sentences)] if section.look == "list" else map(_escaped, section.sentences)
    for table in section.tables:
        parts += _table(table, "###" if section.title else "##")
    return [*parts, _escaped(section.method)] if section.method else parts


def _table(table: Table, level: str) -> list[str]:
    heading = [f"{level} {_escaped(table.title)}"] if table.title else []
    return [*heading, *([_escaped(table.above)] if table.above else []), _pipes(table.rows)]


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _pipes(rows: Sequence[Row]) -> str:
    """A Markdown table whose columns also line up in a terminal."""
    names = list(rows[0])
    cells = [[_escaped(name) for name in names], *[[_text(row[name]) for name in names] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _text(cell: str | Cell) -> str:
    return _escaped(cell.text if isinstance(cell, Cell) else cell)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: one line, no tag, no column of its own."""
    return re.sub(r"([|`*$\\])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
