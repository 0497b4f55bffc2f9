"""What lies under a source and is not used: named and counted, never passed over in silence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cifake_ray.console import printable

_SHOWN = 3


@dataclass(frozen=True)
class Left:
    """Files or rows that are not used for one reason. `examples`: up to three of their names."""

    reason: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.examples) else ""
        return f"{self.count:,} {self.reason} ({', '.join(map(printable, self.examples))}{more})"

    def as_note(self) -> dict[str, object]:
        """For JSON."""
        return {"reason": self.reason, "count": self.count, "examples": list(self.examples)}


def left_for(reason: str, names: Iterable[str]) -> list[Left]:
    """One entry for these names; none for no name."""
    listed = sorted(names)
    return [Left(reason, len(listed), tuple(listed[:_SHOWN]))] if listed else []


def left_from(notes: Sequence[Mapping[str, object]]) -> tuple[Left, ...]:
    """The entries that `as_note` made; notes of version 0.1 have none."""
    return tuple(Left(str(n["reason"]), int(str(n["count"])), tuple(map(str, n["examples"]))) for n in notes)  # type: ignore[call-overload]
