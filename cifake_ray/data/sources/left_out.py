"""Unused files and rows of a source, named and counted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from cifake_ray.console import printable

_SHOWN = 3


@dataclass(frozen=True)
class Left:
    """Files or rows that are not used for one reason. `examples`: up to three of their names.

    suffixes: each suffix with its number of files, most frequent first; empty where the names are no files.
    """

    reason: str
    count: int
    examples: tuple[str, ...]
    suffixes: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.examples) else ""
        kinds = ", ".join(f"{printable(suffix)} {count:,}" for suffix, count in self.suffixes[:_SHOWN])
        kinds = f"{kinds}: " if len(self.suffixes) > 1 else ""
        reason = self.reason if self.count > 1 else _singular(self.reason)
        return f"{self.count:,} {reason} ({kinds}{', '.join(map(printable, self.examples))}{more})"

    def as_note(self) -> dict[str, object]:
        """The entry as JSON values."""
        note = {"reason": self.reason, "count": self.count, "examples": list(self.examples)}
        return note | {"suffixes": dict(self.suffixes)}


def _singular(reason: str) -> str:
    """`file that is not scored` for `files that are not scored`."""
    first, _, rest = reason.partition(" ")
    return f"{first.removesuffix('s')} {rest}".replace("that are ", "that is ")


def left_for(reason: str, names: Iterable[str]) -> list[Left]:
    """One entry for these names; [] without names."""
    listed = sorted(names)
    suffixes = Counter(PurePosixPath(name).suffix.lower() for name in listed)
    told = tuple((suffix, count) for suffix, count in suffixes.most_common() if suffix)
    return [Left(reason, len(listed), tuple(listed[:_SHOWN]), told)] if listed else []


def left_from(notes: Sequence[Mapping[str, Any]]) -> tuple[Left, ...]:
    """The entries that `as_note` made; notes of version 0.1 have none."""
    return tuple(
        Left(str(n["reason"]), int(n["count"]), tuple(map(str, n["examples"])), tuple(n.get("suffixes", {}).items()))
        for n in notes
    )
