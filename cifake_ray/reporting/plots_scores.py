"""Plots of the winners on test images, all studies in one: ROC, reliability, subjects, degraded images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from cifake_ray.data.stratify import SUBJECT_NAMES
from cifake_ray.reporting.certainty import median_seed
from cifake_ray.reporting.figures import (
    BLUE,
    CARD,
    GREEN,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    legend_above,
    legend_height,
    log_axis,
    new_figure,
    percent_axis,
    styled,
)
from cifake_ray.reporting.formatting import whole
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.predictions import Predictions, by_subject
from cifake_ray.stats.calibration import reliability
from cifake_ray.stats.classification import roc_curve

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS = "osD^vP"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
_ALMOST = 0.995  # share of FAKE called FAKE from which on nothing is left to see
_POINTS = 150  # of a ROC curve that are drawn: more cannot be told apart
_BINS, _FEWEST = 10, 20  # of the reliability diagram; images that a bin must hold: the share among fewer says little
_SUBJECT_ROWS = ("left out", "seen")  # which have a table of their own
_LEAST = 1e-3  # of the ROC's axis: below it stand fewer than ten of CIFAKE's 10,000 REAL test images


@styled
def roc_curves(studies: Sequence[Study]) -> Figure | None:
    """FAKE called FAKE against REAL called FAKE, the latter on a log axis; each winner's seed of median validation."""
    tested = [(place, study, seed) for place, study in enumerate(studies) if (seed := median_seed(study)) is not None]
    if not tested:
        return None
    figure, panel = _one_panel(3.4, [_name(study) for _, study, *_ in tested])
    for place, study, seed in tested:
        assert study.predictions is not None
        false, true = _thinned_roc(study.predictions, seed)
        panel.plot(
            100 * np.maximum(false, _LEAST), 100 * true, **_line(place), label=_name(study), drawstyle="steps-post"
        )
    limits = _roc_limits([_thinned_roc(study.predictions, seed) for _, study, seed in tested if study.predictions])
    panel.set(**limits)
    log_axis(panel, *limits["xlim"])
    panel.set(xlabel="REAL images called FAKE (%), log scale", ylabel="FAKE images called FAKE (%)")
    percent_axis(panel.yaxis)
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


def _thinned_roc(predictions: Predictions, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The tuned model's ROC curve in at most 150 points: shares of REAL and of FAKE called FAKE."""
    false, true = roc_curve(predictions.labels, predictions.p_fake["tuned"][seed])
    even = np.unique(np.linspace(0, len(true) - 1, _POINTS).astype(int))
    return false[even], true[even]


def _roc_limits(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, tuple[float, float]]:
    """The part of the ROC that matters: from the lowest curve at 0.1 % to where the last one is almost at the top."""
    lowest = min(float(np.interp(_LEAST, false, true)) for false, true in curves)
    saturated = max(float(false[np.argmax(true >= _ALMOST)]) for false, true in curves)
    right = next((limit for limit in (0.05, 0.1, 0.2, 0.5) if saturated <= limit), 1.0)
    return {"xlim": (100 * _LEAST, 100 * right), "ylim": (10 * np.floor(10 * max(lowest - 0.02, 0.0)), 100.5)}


@styled
def reliabilities(studies: Sequence[Study]) -> Figure | None:
    """How often images are FAKE to which the winner gives a certain probability of it; seeds pooled; diagonal ideal."""
    tested = [(place, study) for place, study in enumerate(studies) if median_seed(study) is not None]
    if not tested:
        return None
    figure, panel = _one_panel(3.4, [_name(study) for _, study in tested])
    panel.plot([0, 100], [0, 100], color=MUTED, linewidth=1.3, linestyle=(0, (3, 2)), zorder=3)
    for place, study in tested:
        assert study.predictions is not None
        seeds = list(study.predictions.p_fake["tuned"].values())
        labels = np.tile(study.predictions.labels, len(seeds))
        stated, found = reliability(labels, np.concatenate(seeds), _BINS, _FEWEST)
        panel.plot(
            100 * stated, 100 * found, **_line(place), marker=_MARKERS[place % 6], markersize=4, label=_name(study)
        )
    panel.set(
        xlim=(-2, 102), ylim=(-2, 102), xlabel="stated probability of FAKE (%)", ylabel="images that are FAKE (%)"
    )
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


@styled
def subjects(studies: Sequence[Study]) -> Figure | None:
    """Accuracy on each subject, mean over the winner's seeds; hollow where it was left out of training."""
    found = [(place, study, by_subject(study.predictions)) for place, study in enumerate(studies)
             if study.predictions is not None and study.predictions.p_fake.get("tuned")]  # fmt: skip
    found = [item for item in found if item[2]]
    if not found:
        return None
    names = [name for name in SUBJECT_NAMES if any(name in accuracies for _, _, accuracies in found)]
    figure, panel = _rows_panel(names, [_name(study) for _, study, _ in found])
    for rank, (place, study, accuracies) in enumerate(found):
        left_out = study.experiment.data.leave_out
        for row, name in enumerate(names):
            if name in accuracies:
                _dot(panel, 100 * accuracies[name], row + _offset(rank, len(found)), place, hollow=name in left_out)
        panel.plot([], [], linestyle="", marker=_MARKERS[place % 6], color=_COLOURS[place % 6], label=_name(study))
    panel.set_xlabel("test accuracy (%)")
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


@styled
def robustness(studies: Sequence[Study]) -> Figure | None:
    """Accuracy on test images as they are and degraded, with 95 % intervals."""
    panels = [(place, study) for place, study in enumerate(studies) if study.robustness.get("rows")]
    if not panels:
        return None
    rows_of = {study.name: [row for row in study.robustness["rows"] if row["kind"] not in _SUBJECT_ROWS]
               for _, study in panels}  # fmt: skip
    names = list(dict.fromkeys(row["name"] for rows in rows_of.values() for row in rows))
    labels = _counted_names([study for _, study in panels])
    figure, panel = _rows_panel(names, labels, left=1.55)
    panel.axvline(50, color=MUTED, linewidth=1, linestyle=(0, (3, 2)))
    for rank, (place, study) in enumerate(panels):
        for row in rows_of[study.name]:
            y = names.index(row["name"]) + _offset(rank, len(panels))
            accuracy = row["accuracy"]
            panel.plot(
                [100 * accuracy["low"], 100 * accuracy["high"]], [y, y], color=_COLOURS[place % 6], linewidth=1.4
            )
            _dot(panel, 100 * accuracy["value"], y, place)
        panel.plot([], [], linestyle="", marker=_MARKERS[place % 6], color=_COLOURS[place % 6], label=labels[rank])
    panel.set_xlabel("accuracy (%); dashed: 50 %, chance")
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


def _one_panel(height: float, labels: Sequence[str]) -> tuple[Figure, Axes]:
    """A panel that is as high whatever stands in its legend."""
    figure, axes = new_figure(height + legend_height(labels))
    return figure, axes[0, 0]


def _rows_panel(names: Sequence[str], labels: Sequence[str], left: float = 1.0) -> tuple[Figure, Axes]:
    """A panel with one band for each name."""
    height = 0.55 + len(names) * max(0.2, 0.09 * len(labels)) + legend_height(labels)
    figure, axes = new_figure(height, left=left)
    panel = axes[0, 0]
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.yaxis.set_major_locator(FixedLocator(range(len(names))))
    panel.set_ylim(len(names) - 0.45, -0.55)
    panel.grid(axis="y", visible=False)
    for row in range(1, len(names), 2):
        panel.axhspan(row - 0.5, row + 0.5, color=MUTED, alpha=0.1, linewidth=0)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure, panel


def _counted_names(studies: Sequence[Study]) -> list[str]:
    """Names of studies; with the number of degraded images where it is not the same for all."""
    counts = [study.robustness.get("test_images") for study in studies]
    if len(set(counts)) == 1:
        return [_name(study) for study in studies]
    return [f"{_name(study)} ({whole(count)} images)" for study, count in zip(studies, counts, strict=True)]


def _offset(rank: int, entries: int) -> float:
    return 0.0 if entries == 1 else 0.6 * (rank / (entries - 1) - 0.5)


def _dot(axes: Axes, x: float, y: float, place: int, *, hollow: bool = False) -> None:
    colour = _COLOURS[place % 6]
    axes.plot([x], [y], linestyle="", marker=_MARKERS[place % 6], markersize=4.5, color=colour,
              markerfacecolor=CARD if hollow else colour, markeredgewidth=1.2)  # fmt: skip


def _line(place: int) -> dict[str, Any]:
    """A colour and a pattern of dashes for each study, the same in every figure."""
    return {"color": _COLOURS[place % 6], "linestyle": _DASHES[place % 5], "linewidth": 1.5}


def _name(study: Study) -> str:
    return study.name if len(study.name) <= 26 else study.name[:25] + "…"
