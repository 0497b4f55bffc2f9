"""The tables of a report as CSV files."""

from collections.abc import Iterable

from cifake_ray.reporting.section import Section


def csv_files(sections: Iterable[Section]) -> dict[str, str]:
    """Text by file name, of every section that has data."""
    return {
        name: frame.to_csv(index=False, lineterminator="\n")
        for section in sections
        for name, frame in section.data.items()
    }
