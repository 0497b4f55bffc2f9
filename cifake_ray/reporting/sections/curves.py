"""How training went: curves of winner and baseline, curves of every trial, the best so far."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from cifake_ray.experiment import Metric
from cifake_ray.reporting.comparison import model_curve
from cifake_ray.reporting.figures import study_figure
from cifake_ray.reporting.load import ROLES, Study
from cifake_ray.reporting.marks import best_until, draw_statuses, good_end, scale_of
from cifake_ray.reporting.section import figures_alone
from cifake_ray.reporting.style import (
    BLUE,
    CARD,
    GREEN,
    MANY,
    MUTED,
    VERMILLION,
    legend_above,
    new_figure,
    robust_limits,
    whole_ticks,
)

_ROLE_COLOURS = {"tuned": BLUE, "baseline": VERMILLION}
_ROLE_MARKERS = {"tuned": "o", "baseline": "s"}  # and solid or dashed: distinct without colour
_ACCURACY, _LOSS = "accuracy (%)", "cross-entropy loss (nats)"


@study_figure(
    "learning-curves",
    "Winner and baseline: accuracy and loss by epoch, mean over seeds, range of seeds shaded. Training "
    "accuracy is the running value under augmentation.",
    png=True,
)
def learning_curves(study: Study) -> Figure | None:
    """Winner and baseline: accuracy and loss by epoch, mean over seeds, their range shaded. None without curves."""
    curves = {role: model_curve(study, role) for role in _distinct_roles(study)}
    curves = {role: curve for role, curve in curves.items() if not curve.empty}
    if not curves:
        return None
    figure, axes = new_figure(5.4, rows=2, sharex=True)
    for panel, quantity in zip(axes[:, 0], ("accuracy", "loss"), strict=True):
        for role, curve in curves.items():
            _draw_role(panel, role, curve, quantity)
        whole_ticks(panel)
    axes[0, 0].set_ylabel(_ACCURACY)
    axes[1, 0].set(ylabel=_LOSS, xlabel="epoch")
    legend_above(figure, axes[0, 0].get_legend_handles_labels()[0])
    figure.subplots_adjust(hspace=0.1)
    return figure


def _distinct_roles(study: Study) -> list[Any]:
    same = study.trial("tuned").get("trial_id") == 0
    return ["baseline"] if same else list(ROLES)


def _draw_role(axes: Axes, role: str, curve: pd.DataFrame, quantity: str) -> None:
    for part, dashes in (("val", "-"), ("train", (0, (3, 1.5)))):
        metric = f"{part}_{quantity}"
        if metric not in curve:
            continue
        by_epoch = (curve[metric] * scale_of(metric)).groupby(curve["epoch"]).agg(["mean", "min", "max"])
        name = f"{role}, {'validation' if part == 'val' else 'training'}"
        colour = _ROLE_COLOURS[role]
        every = max(1, len(by_epoch) // 6)
        axes.plot(by_epoch.index, by_epoch["mean"], color=colour, linestyle=dashes, label=name, linewidth=1.5,
                  marker=_ROLE_MARKERS[role], markersize=4, markevery=every,
                  markerfacecolor=colour if part == "val" else CARD)  # fmt: skip
        if (by_epoch["max"] > by_epoch["min"]).any():
            axes.fill_between(by_epoch.index, by_epoch["min"], by_epoch["max"], color=colour, alpha=0.1, linewidth=0)


@study_figure(
    "trial-curves",
    "Every trial: the figures of validation by epoch; grey ones were stopped before the last; dots mark ends.",
)
def trial_curves(study: Study) -> Figure | None:
    """Validation accuracy and loss of every trial by epoch, and the metric: stopped grey, the best in front.

    None for one trial.
    """
    curves = study.curves
    if curves["trial_id"].nunique() < 2:
        return None
    status = curves["trial_id"].map(study.trials.set_index("trial_id")["status"].astype(str).to_dict())
    best = study.trial("tuned").get("trial_id")
    ran_through = (status == "completed").to_numpy()
    shown = [*_other_metric(study), Metric.VAL_ACCURACY, Metric.VAL_LOSS]
    figure, axes = new_figure(2.7 * len(shown), rows=len(shown), sharex=True)
    for panel, metric in zip(axes[:, 0], shown, strict=True):
        _draw_lines(panel, curves[~ran_through], metric, MUTED, "not completed", 0.45)
        _draw_lines(panel, curves[ran_through], metric, BLUE, "completed", 0.55)
        _draw_best(panel, curves[curves["trial_id"] == best], metric, f"best: trial {best}")
        panel.autoscale_view()
        robust_limits(panel, (curves[metric] * metric.scale).tolist(), keep=good_end(metric))
        whole_ticks(panel)
        panel.set_ylabel(metric.axis)
    axes[-1, 0].set_xlabel("epoch")
    legend_above(figure, axes[0, 0].get_legend_handles_labels()[0])
    figure.subplots_adjust(hspace=0.1)
    return figure


def _other_metric(study: Study) -> list[Metric]:
    """The metric of the study, if the curves hold it and it is neither accuracy nor loss, which are drawn anyway."""
    metric = study.experiment.search.metric
    drawn = metric.in_every_table or study.curves[metric].isna().all()
    return [] if drawn else [metric]


def _draw_lines(axes: Axes, curves: pd.DataFrame, metric: str, colour: str, label: str, alpha: float) -> None:
    """One collection for all trials: 500 separate lines take seconds. A dot marks where each trial ended."""
    curves = curves[curves[metric].notna()]
    if curves.empty:
        return
    points = np.column_stack([curves["epoch"], curves[metric] * scale_of(metric)])
    trials = curves["trial_id"].to_numpy()
    ends = np.flatnonzero(np.append(trials[1:] != trials[:-1], True))
    many = len(points) > MANY
    dashes = "solid" if label == "completed" else (0, (2, 1.5))
    lines = LineCollection(
        np.split(points, ends[:-1] + 1),
        colors=colour,
        linewidths=0.9,
        alpha=alpha,
        linestyles=[dashes],
        rasterized=many,
    )
    lines.set_label(label)
    axes.add_collection(lines)
    axes.plot(*points[ends].T, linestyle="", marker="o", markersize=2.4, color=colour, alpha=alpha, rasterized=many)


def _draw_best(axes: Axes, curve: pd.DataFrame, metric: str, label: str) -> None:
    if curve.empty:
        return
    values = curve[metric] * scale_of(metric)
    axes.plot(curve["epoch"], values, color=VERMILLION, linewidth=2.2, label=label)
    axes.plot(curve["epoch"].iloc[-1:], values.iloc[-1:], marker="o", markersize=4, color=VERMILLION)


@study_figure(
    "best-so-far",
    "What each trial reached, and the best until then. The dashed line is the baseline after all its epochs, "
    "retrained where that was done.",
)
def best_so_far(study: Study) -> Figure | None:
    """The study's metric of each trial in the order of proposal, and the best until then. None for fewer than two."""
    metric = study.experiment.search.metric
    trials = study.trials[study.trials[metric].notna() & (study.trials["status"] != "failed")]
    if len(trials) < 2:
        return None
    values = trials[metric].to_numpy(float) * scale_of(metric)
    best = best_until(metric, values)
    numbers = trials["trial_id"].to_numpy(float)
    figure, axes = new_figure(3.0)
    panel = axes[0, 0]
    draw_statuses(panel, numbers, values, trials["status"], many=len(trials) > MANY)
    panel.step(numbers, best, where="post", color=VERMILLION, label="best so far")
    if (own := baseline_level(study)) is not None:
        panel.axhline(own * scale_of(metric), color=GREEN, linestyle=(0, (4, 2)), linewidth=1.3, label="baseline")
    robust_limits(panel, values.tolist(), keep=good_end(metric))
    panel.set(xlabel="trial, in the order of proposal", ylabel=metric.axis)
    whole_ticks(panel)
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


def baseline_level(study: Study) -> float | None:
    """The baseline's value of the study's metric after all its epochs: retrained, else its trial if that was whole."""
    metric = study.experiment.search.metric
    baseline = study.outcome("baseline")
    noted = [float(getattr(seed, metric, math.nan)) for seed in (baseline.seeds if baseline else [])]
    values = [value for value in noted if not math.isnan(value)]
    if values:
        return float(np.mean(values))
    trial = study.trial("baseline")
    value = trial.get(metric, math.nan)
    return float(value) if trial.get("status") == "completed" and value == value else None


of_study = figures_alone(learning_curves, trial_curves, best_so_far)
