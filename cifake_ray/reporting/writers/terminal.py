"""Sections in the terminal: compact tables, and sentences below them."""

from collections.abc import Sequence

from cifake_ray.reporting.section import Cell, Section, Table


def tables(section: Section, width: int | None) -> list[tuple[list[str], list[list[str]]]]:
    """(columns, rows) of each table that the terminal shows; with fewer columns where they do not fit into `width`."""
    found = []
    for table in section.tables:
        columns, rows = _cells(table)
        if rows:
            found.append((columns, rows) if width is None else fitting(columns, rows, width, table.expendable))
    return found


def sentences(section: Section) -> list[str]:
    """What the terminal says below the tables."""
    return list(section.brief or section.sentences)


def fitting(
    columns: list[str], rows: list[list[str]], width: int, expendable: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """The table without the least important columns, as many as it takes to fit into `width` characters."""
    kept = list(columns)
    for dropped in ("", *expendable):
        kept = [column for column in kept if column != dropped]
        positions = [columns.index(column) for column in kept]
        needed = sum(max(len(columns[at]), *(len(row[at]) for row in rows)) + 3 for at in positions) + 2
        if needed <= width:
            break
    return kept, [[row[at] for at in positions] for row in rows]


def _cells(table: Table) -> tuple[list[str], list[list[str]]]:
    rows = table.rows if table.terminal is None else table.terminal
    columns = list(rows[0]) if rows else []
    return columns, [[_text(row[column]) for column in columns] for row in rows]


def _text(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell
