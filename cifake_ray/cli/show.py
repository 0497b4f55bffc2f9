"""What the commands print: tables for people, JSON for machines."""

import json
from pathlib import Path
from typing import Any

_WIDE = 120  # characters that the whole comparison table takes


def print_comparison(runs: list[Path]) -> None:
    """The comparison table of these runs, with its notes; a narrow terminal gets fewer columns."""
    from rich.console import Console

    from cifake_ray.reporting.report import load_all
    from cifake_ray.reporting.tables import comparison_table
    from cifake_ray.reporting.text import short_notes, terminal_table

    studies = load_all(runs)
    table = comparison_table(studies)
    columns, rows = terminal_table(table)
    if Console().is_terminal and Console().width < _WIDE:
        kept = [index for index, column in enumerate(columns) if column not in ("model", "gap", "AUC", "core-s")]
        columns, rows = [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]
    print_table(columns, rows)
    for note in short_notes(studies, table):
        print(f"  {note}")


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
    elif rows:
        print_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table as wide as the terminal; where the output is no terminal, as wide as its cells."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console() if Console().is_terminal else Console(width=1000)
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def interval(metric: dict[str, float]) -> str:
    return f"{metric['value']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}]"


def duration(seconds: float) -> str:
    """`0.42 s`, `37 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
