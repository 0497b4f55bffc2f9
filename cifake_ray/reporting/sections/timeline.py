"""When each trial of a study ran, and how busy its slots were."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from cifake_ray.reporting.figures import study_figure
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import figures_alone
from cifake_ray.reporting.style import BLUE, GREEN, MUTED, VERMILLION, legend_above, new_figure


@study_figure(
    "timeline",
    "When each trial ran. A row is a slot for one trial; where no bar is drawn, it stood empty.",
)
def timeline(study: Study) -> Figure | None:
    """When each trial ran, in rows as few as hold those that ran at once. None for fewer than two, or not recorded."""
    spans = study.timeline[study.timeline["end"] > study.timeline["start"]]
    if spans["trial_id"].nunique() < 2:
        return None
    lanes = slots(spans)
    status = spans["trial_id"].map(study.trials.set_index("trial_id")["status"].astype(str).to_dict()).to_numpy()
    unit, name = (60.0, "minutes") if spans["end"].max() > 180 else (1.0, "seconds")
    rows = int(lanes.max()) + 1
    figure, axes = new_figure(1.15 + 0.2 * min(rows, 16))
    panel = axes[0, 0]
    for chosen, colour, label in (
        (status == "completed", BLUE, "completed"),
        (status != "completed", MUTED, "not completed"),
        (spans["trial_id"].to_numpy() == 0, GREEN, "baseline"),
        (spans["trial_id"].to_numpy() == study.trial("tuned").get("trial_id"), VERMILLION, "best"),
    ):
        if chosen.any():
            _draw_spans(panel, spans[chosen], lanes[chosen], unit, colour, label, 60 / rows)
    panel.set_xlim(0, spans["end"].max() / unit)
    panel.set_ylim(rows - 0.5, -0.5)
    panel.set_yticks(range(rows) if rows <= 8 else range(0, rows, math.ceil(rows / 8)))
    panel.yaxis.set_major_formatter(lambda value, _: f"{value + 1:g}")
    panel.grid(axis="y", visible=False)
    panel.set(xlabel=f"{name} since the first start; slots busy {100 * busy_share(study):.0f} %", ylabel="slot")
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


def slots(spans: pd.DataFrame) -> np.ndarray:
    """A row for each span, in order of start: the lowest in which nothing runs any more; int [n]."""
    free: list[float] = []
    lanes = []
    for start, end in zip(spans["start"], spans["end"], strict=True):
        lane = next((slot for slot, until in enumerate(free) if until <= start + 0.02), len(free))  # ends are rounded
        free[lane : lane + 1] = [end]
        lanes.append(lane)
    return np.array(lanes, dtype=int)


def busy_share(study: Study) -> float:
    """Share of the slots' time between the first start and the last end in which a trial ran; NaN if unknown."""
    spans = study.timeline[study.timeline["end"] > study.timeline["start"]]
    if spans.empty:
        return math.nan
    rows = int(slots(spans).max()) + 1
    return float((spans["end"] - spans["start"]).sum() / (rows * (spans["end"].max() - spans["start"].min())))


def _draw_spans(
    axes: Axes, spans: pd.DataFrame, lanes: np.ndarray, unit: float, colour: str, label: str, width: float
) -> None:
    starts, ends = spans["start"].to_numpy() / unit, spans["end"].to_numpy() / unit
    gap = 0.15 * np.minimum(ends - starts, ends.max() / 150)  # so that neighbours stay distinct
    segments = np.stack([np.stack([starts, lanes], 1), np.stack([ends - gap, lanes], 1)], axis=1)
    lines = LineCollection(list(segments), colors=colour, linewidths=min(9.0, max(2.0, width)), label=label)
    lines.set_capstyle("butt")
    axes.add_collection(lines)


of_study = figures_alone(timeline)
