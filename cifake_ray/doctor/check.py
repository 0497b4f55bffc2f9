"""One line of doctor's answer."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["green", "amber", "red"]


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and (amber, red) how to mend it."""

    name: str
    level: Level
    found: str
    cure: str = ""


def judged(name: str, found: str, cure: str, *, amber: object = False, red: object = False) -> Check:
    """The check, red or amber if that is true, else green."""
    return Check(name, "red" if red else "amber" if amber else "green", found, cure)
