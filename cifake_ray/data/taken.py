"""Counts of the pictures taken from a source, by part, class and group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cifake_ray.console import printable
from cifake_ray.data.table import ImageTable
from cifake_ray.runs.columns import LABELS

_SHOWN = 6  # values of a group that a line names
_OF_NAMES = "subject"  # read from names of a known data set, alike in every part: in JSON, not in a summary


@dataclass(frozen=True)
class Taken:
    """Number of pictures of one part and class. groups: column -> value -> pictures, largest first."""

    part: str
    label: str
    images: int
    groups: dict[str, dict[str, int]]

    def as_note(self) -> dict[str, object]:
        """The counts as JSON values."""
        return {"part": self.part, "class": self.label, "images": self.images, "groups": self.groups}


def taken_of(table: ImageTable) -> list[Taken]:
    """Counts of each part and class in the table."""
    found = []
    for part in table.parts:
        of_part = table.is_of(part)
        for code, label in enumerate(LABELS):
            rows = of_part & (table.labels == code)
            groups = {name: tally(codes[rows], table.group_values(name)) for name, codes in table.groups.items()}
            told = {name: counts for name, counts in groups.items() if counts}
            found.append(Taken(part, label, int(rows.sum()), told))
    return found


def tally(codes: np.ndarray, values: Sequence[str]) -> dict[str, int]:
    """Count of each value, largest first, without the unknown "". codes: int64 [n], positions in `values`."""
    counts = np.bincount(codes, minlength=len(values)).tolist()
    told = [(value, count) for value, count in zip(values, counts, strict=True) if value and count]
    return dict(sorted(told, key=lambda pair: -pair[1]))


def taken_lines(taken: Sequence[Taken]) -> Iterator[str]:
    """`train FAKE by generator: sd14 6,000, midjourney 2,000` for each part, class and group of the source."""
    for one in taken:
        for column, counts in one.groups.items():
            if column != _OF_NAMES:
                yield f"{one.part} {one.label} by {column}: {shown(counts)}"


def shown(counts: dict[str, int]) -> str:
    """The largest groups with their counts, and how many more there are."""
    some = [f"{printable(value)} {count:,}" for value, count in list(counts.items())[:_SHOWN]]
    rest = list(counts.values())[_SHOWN:]
    more = [f"{len(rest):,} more with {sum(rest):,}"] if rest else []
    return ", ".join([*some, *more])
