"""Two sides measured alternately, because the machine moves and only their ratio in one run stays."""

import argparse
import os
import platform
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 5
OURS, OTHER = "ours", "other"


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured on both sides, and whether the ratio (or figure) reaches the goal."""

    number: int | str
    what: str
    ours: str
    other: str
    ratio: str
    goal: str
    met: bool | None  # None: not measured here

    def line(self) -> str:
        met = {True: "yes", False: "no", None: "not measured here"}[self.met]
        return f"| {self.number} | {self.what} | {self.ours} | {self.other} | {self.ratio} | {self.goal} | {met} |"


HEADER = "| # | comparison | cifake-ray | the other side | ratio | goal | reached |\n|---|---|---|---|---|---|---|"


def alternate(
    sides: Mapping[str, Callable[[], float]], runs: int = RUNS, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """What each side gives, `runs` times, one after the other.

    warm_up: throw a first round of each away. Sides that are processes of their own start cold each time.
    """
    for side in sides.values() if warm_up else ():
        side()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            found[name].append(side())
    return found


def shown(values: list[float], unit: str) -> str:
    """Median and range: `1,234 img/s (1,200 to 1,250)`."""
    middle = statistics.median(values)
    digits = 0 if middle >= 100 else 2 if middle >= 1 else 4
    shown, low, high = (f"{value:,.{digits}f}" for value in (middle, min(values), max(values)))
    return f"{shown} {unit} ({low} to {high})"


def ratios(first: list[float], second: list[float]) -> list[float]:
    """Of the pairs, which share the machine's mood."""
    return [one / other for one, other in zip(first, second, strict=True)]


def compared(
    number: int | str, what: str, found: Mapping[str, list[float]], unit: str, goal: float, *, rate: bool
) -> Row:
    """A row of two sides: how many times ours is better; `rate`: more is better, else these are costs."""
    times = ratios(found[OURS], found[OTHER]) if rate else ratios(found[OTHER], found[OURS])
    middle = statistics.median(times)
    return Row(
        number, what, shown(found[OURS], unit), shown(found[OTHER], unit),
        f"{middle:.2f} ({min(times):.2f} to {max(times):.2f})", f"{goal:g} times", middle >= goal,
    )  # fmt: skip


def machine() -> str:
    """One line: processor, cores, versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "ray", "optuna", "pillow"))
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, {versions}"


def measure(compare: Callable[[int], list[Row]], about: str | None) -> None:
    """The command line of one comparison."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    print(HEADER, flush=True)
    for row in compare(parser.parse_args().runs):
        print(row.line(), flush=True)
