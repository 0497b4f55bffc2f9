"""Numbers as text: percent, intervals, counts; a dash where nothing is known."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cifake_ray.console import duration
from cifake_ray.experiment import join_plus
from cifake_ray.stats.intervals import Interval

Row = dict[str, Any]
NOTHING = "–"


def rows_of(frame: pd.DataFrame) -> list[Row]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def known(value: Any) -> bool:
    """Whether a cell holds anything: not None, NA, NaN or an empty text."""
    return value is not None and value is not pd.NA and value == value and value != ""


def percent(value: Any, digits: int = 2) -> str:
    """0.9787 as `97.87`; unknown as a dash."""
    return f"{100 * value:.{digits}f}" if known(value) else NOTHING


def interval(low: Any, high: Any) -> str:
    """`[97.66, 98.06]`, in percent; empty when unknown."""
    return f"[{percent(low)}, {percent(high)}]" if known(low) and known(high) else ""


def signed(value: Any, low: Any, high: Any) -> str:
    """A difference in points with its interval: `+0.10 [+0.02, +0.18]`; unknown as a dash."""
    if not known(value):
        return NOTHING
    return f"{100 * value:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def points(value: float) -> str:
    """A difference in percentage points: `+0.10`; unknown as a dash."""
    return f"{100 * value:+.2f}" if known(value) else NOTHING


def points_with_interval(value: Interval) -> str:
    """`+0.10 [0.02, 0.18]`, in percentage points."""
    return f"{points(value.value)} {interval(value.low, value.high)}"


def with_interval(value: Any, low: Any, high: Any) -> str:
    """`97.87 [97.66, 98.06]`, in percent; unknown as a dash."""
    return f"{percent(value)} {interval(low, high)}".strip()


def groups_text(groups: Mapping[str, Sequence[str]]) -> str:
    """`generator midjourney, sdxl; source coco` of group columns with some of their values."""
    return "; ".join(f"{column} {', '.join(values)}" for column, values in groups.items())


def setting(value: Any) -> str:
    """A hyperparameter's value, numbers to four digits; unknown as a dash."""
    value = join_plus(value)
    if not known(value):
        return NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def whole(value: Any) -> str:
    return f"{round(value):,}" if known(value) else NOTHING


def decimal(value: Any, digits: int = 4) -> str:
    return f"{value:.{digits}f}" if known(value) else NOTHING


def wall_time(seconds: float) -> str:
    """3735 s as `1 h 2 min`, less than an hour in its unit; a dash where it is not recorded."""
    if not math.isfinite(seconds) or seconds <= 0:
        return NOTHING
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return duration(seconds)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def headline_test(row: Row) -> float:
    """Test accuracy without duplicates of train images, or of all images where only that is known; NaN without."""
    value = row["test_accuracy_dedup"] if known(row["test_accuracy_dedup"]) else row["test_accuracy"]
    return float(value) if known(value) else math.nan
