"""How far the winners' probabilities hold on test images, before and after calibration on validation images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from cifake_ray.reporting.figures import overview_figure
from cifake_ray.reporting.formatting import decimal
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.marks import one_panel, short_name, study_line, study_marker
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.style import MUTED, legend_above
from cifake_ray.stats.calibration import expected_calibration_error, log_loss, reliability
from cifake_ray.stats.platt import probability

_BINS, _FEWEST = 10, 20  # of the reliability diagram, as in that of the uncalibrated probabilities
_METHOD = (
    "The model in best/ on test images without duplicates. Calibrated: 1 / (1 + exp(-(a logit + b))), fitted on "
    "validation images (Platt 1999; Lin, Lin and Weng 2007) for as many FAKE as REAL, and converted to the share of "
    "FAKE among the test images. ECE: mean distance of confidence and accuracy, 15 bins. Log loss: in nats, smaller is "
    "better. Accuracies everywhere are at 0.5 of the uncalibrated probability."
)


@dataclass(frozen=True)
class Stated:
    """Test images without duplicates: labels, and p(FAKE) of the model in best/ before and after calibration."""

    labels: np.ndarray
    before: np.ndarray
    after: np.ndarray


def build(studies: Sequence[Study]) -> Section:
    """A row for each calibrated study, and the reliability diagram."""
    rows = [_row(study, found) for study in studies if (found := stated(study)) is not None]
    if not rows:
        return Section(figures=(calibration,))
    return Section("Calibrated probabilities", tables=(Table(rows),), figures=(calibration,), method=_METHOD)


def stated(study: Study) -> Stated | None:
    """What the model in best/ states; None where it is not calibrated, or its predictions are not stored."""
    noted, predictions = study.records.calibrated, study.predictions
    if noted.decision is None or predictions is None or not len(predictions.labels):
        return None
    if noted.seed is None or noted.seed not in predictions.p_fake.get("tuned", {}):
        return None
    logits = predictions.logits("tuned", noted.seed)
    share = float(np.clip((predictions.labels == 0).mean(), 1e-6, 1 - 1e-6))  # test images of one class too
    after = probability(logits, noted.decision.a, noted.decision.b, share)
    return Stated(predictions.labels, predictions.p_fake["tuned"][noted.seed], after)


def _row(study: Study, found: Stated) -> dict[str, str]:
    decision = study.records.calibrated.decision
    assert decision is not None  # `stated` needs one
    return {
        "Study": study.name,
        "Calibrated on": decision.calibrated_on,
        "a": decimal(decision.a, 3),
        "b": decimal(decision.b, 3),
        "ECE before": decimal(expected_calibration_error(found.labels, found.before)),
        "ECE after": decimal(expected_calibration_error(found.labels, found.after)),
        "Log loss before": decimal(log_loss(found.labels, found.before)),
        "Log loss after": decimal(log_loss(found.labels, found.after)),
    }


@overview_figure(
    "calibration",
    "Reliability of the model in best/ after calibration on validation images, and before (thin, dotted): how many "
    "test images are FAKE among those given about this probability; on the dashed line the probabilities are right. "
    "Bins of fewer than 20 images are left out.",
    title="Reliability before and after calibration",
)
def calibration(studies: Sequence[Study]) -> Figure | None:
    """How often images are FAKE to which a certain probability is given; one line after and one before a study."""
    found = [(number, study, held) for number, study in enumerate(studies) if (held := stated(study)) is not None]
    if not found:
        return None
    figure, panel = one_panel(3.4, [short_name(study) for _, study, _ in found])
    panel.plot([0, 100], [0, 100], color=MUTED, linewidth=1.3, linestyle=(0, (3, 2)), zorder=3)
    for number, study, held in found:
        line = study_line(number)
        before, after = (reliability(held.labels, p_fake, _BINS, _FEWEST) for p_fake in (held.before, held.after))
        panel.plot(100 * before[0], 100 * before[1], color=line["color"], linewidth=0.9, linestyle=":")
        panel.plot(100 * after[0], 100 * after[1], **line, marker=study_marker(number), markersize=4,
                   label=short_name(study))  # fmt: skip
    panel.set(
        xlim=(-2, 102), ylim=(-2, 102), xlabel="stated probability of FAKE (%)", ylabel="images that are FAKE (%)"
    )
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure
