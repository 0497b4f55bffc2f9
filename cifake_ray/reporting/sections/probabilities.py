"""What the probabilities of the winners are worth: ROC and reliability on test images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cifake_ray.reporting.figures import overview_figure
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.marks import one_panel, short_name, study_line, study_marker
from cifake_ray.reporting.predictions import Predictions
from cifake_ray.reporting.section import figures_alone
from cifake_ray.reporting.style import MUTED, legend_above, log_axis, percent_axis
from cifake_ray.reporting.winners import median_seed
from cifake_ray.stats.calibration import reliability
from cifake_ray.stats.classification import roc_curve

_ALMOST = 0.995  # share of FAKE called FAKE from which on nothing is left to see
_POINTS = 150  # of a ROC curve that are drawn: more are not distinct
_BINS, _FEWEST = 10, 20  # of the reliability diagram; images that a bin must hold: the share among fewer says little
_LEAST = 1e-3  # of the ROC's axis: below it stand fewer than ten of 10,000 REAL test images


@overview_figure(
    "roc",
    "ROC of each winner (its seed of median validation accuracy) on test images without duplicates: the part "
    "in which curves differ. The axes begin at 0.1 % of REAL and below the lowest curve and end where all are "
    "near 100 %.",
    title="ROC",
)
def roc(studies: Sequence[Study]) -> Figure | None:
    """FAKE called FAKE against REAL called FAKE, the latter on a log axis; each winner's seed of median validation."""
    tested = [(number, study, seed) for number, study in enumerate(studies) if (seed := median_seed(study)) is not None]
    if not tested:
        return None
    figure, panel = one_panel(3.4, [short_name(study) for _, study, *_ in tested])
    for number, study, seed in tested:
        assert study.predictions is not None
        false, true = _thinned_roc(study.predictions, seed)
        panel.plot(
            100 * np.maximum(false, _LEAST),
            100 * true,
            **study_line(number),
            label=short_name(study),
            drawstyle="steps-post",
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


@overview_figure(
    "reliability",
    "Reliability: how many images are FAKE among those given about this probability of it; on the dashed line "
    "the probabilities are right. Bins of fewer than 20 images are left out; the ECE stands in the table.",
)
def reliabilities(studies: Sequence[Study]) -> Figure | None:
    """How often images are FAKE to which the winner gives a certain probability of it; seeds pooled; diagonal ideal."""
    tested = [(number, study) for number, study in enumerate(studies) if median_seed(study) is not None]
    if not tested:
        return None
    figure, panel = one_panel(3.4, [short_name(study) for _, study in tested])
    panel.plot([0, 100], [0, 100], color=MUTED, linewidth=1.3, linestyle=(0, (3, 2)), zorder=3)
    for number, study in tested:
        assert study.predictions is not None
        seeds = list(study.predictions.p_fake["tuned"].values())
        labels = np.tile(study.predictions.labels, len(seeds))
        stated, found = reliability(labels, np.concatenate(seeds), _BINS, _FEWEST)
        panel.plot(
            100 * stated,
            100 * found,
            **study_line(number),
            marker=study_marker(number),
            markersize=4,
            label=short_name(study),
        )
    panel.set(
        xlim=(-2, 102), ylim=(-2, 102), xlabel="stated probability of FAKE (%)", ylabel="images that are FAKE (%)"
    )
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


build = figures_alone(roc, reliabilities)
