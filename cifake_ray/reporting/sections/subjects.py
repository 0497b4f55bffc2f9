"""Accuracy by subject of the images, and on groups that were left out of training."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from cifake_ray.reporting.figures import overview_figure
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.marks import rows_panel, short_name, study_dot, study_handle, study_offset, study_span
from cifake_ray.reporting.predictions import by_subject
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.sections.robustness import degraded
from cifake_ray.reporting.style import legend_above
from cifake_ray.stats.intervals import FEWEST_IN_GROUP, wilson

_METHOD = "Test images as they are, of groups of which no image trained, and of the other groups."


def build(studies: Sequence[Study]) -> Section:
    """A row for the groups left out of training and one for the others, a column for each study that did so."""
    rows = degraded({study.name: study.records.robustness for study in studies}, of_subjects=True)
    if not rows:
        return Section(figures=(subjects,))
    return Section("Groups left out of training", tables=(Table(rows),), figures=(subjects,), method=_METHOD)


@overview_figure(
    "subjects",
    "Test accuracy by subject, FAKE and REAL together, mean over seeds; hollow where the subject was left out "
    "of training.",
    title="Accuracy by subject",
)
def subjects(studies: Sequence[Study]) -> Figure | None:
    """Accuracy on each subject, mean over the winner's seeds; hollow where it was left out of training.

    Of a subject of fewer than 20 test images the count and the interval.
    """
    found = [(number, study, by_subject(study.predictions, _subjects(study))) for number, study in enumerate(studies)
             if study.predictions is not None and study.predictions.p_fake.get("tuned")]  # fmt: skip
    found = [item for item in found if item[2]]
    if not found:
        return None
    known = dict.fromkeys(name for _, study, _ in found for name in _subjects(study))
    names = [name for name in known if any(name in accuracies for _, _, accuracies in found)]
    figure, panel = rows_panel(_marked(names, [accuracies for _, _, accuracies in found]),
                               [short_name(study) for _, study, _ in found])  # fmt: skip
    for rank, (number, study, accuracies) in enumerate(found):
        left_out = study.experiment.data.leave_out.get("subject", ())
        for row, name in enumerate(names):
            accuracy, images = accuracies.get(name, (0.0, 0))
            at = row + study_offset(rank, len(found))
            if images >= FEWEST_IN_GROUP:
                study_dot(panel, 100 * accuracy, at, number, hollow=name in left_out)
            elif images:
                low, high = wilson(accuracy, images)
                study_span(panel, 100 * low, 100 * high, at, number)
        study_handle(panel, number, short_name(study))
    panel.set_xlabel("test accuracy (%)")
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


def _marked(names: Sequence[str], found: Sequence[Mapping[str, tuple[float, int]]]) -> list[str]:
    """The subjects, a small one with its number of images: `bird (12)`."""
    fewest = {name: min(accuracies[name][1] for accuracies in found if name in accuracies) for name in names}
    return [f"{name} ({fewest[name]})" if fewest[name] < FEWEST_IN_GROUP else name for name in names]


def _subjects(study: Study) -> tuple[str, ...]:
    group = study.card.groups.get("subject")
    return group.values if group else ()
