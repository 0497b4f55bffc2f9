"""How the winners judge test images that were compressed, blurred, made noisy or scaled."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from matplotlib.figure import Figure

from cifake_ray.reporting.figures import overview_figure
from cifake_ray.reporting.formatting import NOTHING, decimal, interval, percent, whole
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.marks import rows_panel, short_name, study_dot, study_handle, study_offset, study_span
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.style import MUTED, legend_above
from cifake_ray.runs.records import TIER, Interval, Robustness, RobustnessRow
from cifake_ray.stats.intervals import FEWEST_IN_GROUP

T = TypeVar("T")
_SUBJECTS = ("left out", "seen")  # kinds of rows
_INCH = 0.066  # of the figure's width for one letter of a row's name
METHOD = (
    "Accuracy with its 95 % Wilson interval, and AUC, of the model in best/ (the seed of median validation "
    "accuracy) on test images without duplicates, called FAKE above probability 0.5 unless marked. Columns on other "
    "numbers of images are other images. JPEG and scaling by Pillow, blur by a sampled Gaussian, noise on the scale "
    "0 to 1. Delivery tiers (web, hard) are made of whole pictures, both classes alike: larger ones are reduced, none "
    "is enlarged, and all are saved as JPEG, 4:2:0, before the model's own transform."
)


def build(studies: Sequence[Study]) -> Section:
    """A row for each degradation, a column for each study: accuracy, interval and AUC; how far the worst one goes."""
    rows = degraded({study.name: study.records.robustness for study in studies}, of_subjects=False)
    return Section(
        "Degraded test images" if rows else "",
        tables=(Table(rows),) if rows else (),
        figures=(robustness, delivery),
        method=METHOD if rows else "",
        remarks=_unmeasured(studies),
        caveats=(_weakness(studies),),
    )


def degraded(measured: Mapping[str, Robustness], *, of_subjects: bool) -> list[dict[str, str]]:
    """A row for each kind of test images, a column for each measurement; of subjects, or of degradations."""
    found = {}
    for name, noted in measured.items():
        rows = {row.name: row for row in noted.rows if (row.kind in _SUBJECTS) == of_subjects}
        if rows:
            found[f"{name} ({whole(noted.test_images)} images{_threshold(noted)})"] = rows
    return by_images(found, _scores_cell)


def by_images(found: Mapping[str, Mapping[str, T]], cell: Callable[[T], str]) -> list[dict[str, str]]:
    """A row for each kind of test images, a column for each study; found: by study and kind."""
    names = dict.fromkeys(name for rows in found.values() for name in rows)
    return [
        {"Test images": name} | {study: cell(rows[name]) if name in rows else NOTHING for study, rows in found.items()}
        for name in names
    ]


def _threshold(noted: Robustness) -> str:
    """Says which threshold gave figures of version 0.1 that were not measured at probability 0.5."""
    value = noted.threshold.value
    return "" if value == 0.5 else f", at the threshold {value:.3f} of version 0.1"


def _scores_cell(row: RobustnessRow) -> str:
    """`97.87 [97.66, 98.06], AUC 0.9983`; without the AUC where the images are of one class.

    Of a small group of subjects the count and the interval: `12 images, [55.20, 95.30]`.
    """
    if row.kind in _SUBJECTS and row.images < FEWEST_IN_GROUP:
        return f"{row.images} images, {interval(row.accuracy.low, row.accuracy.high)}"
    measured = accuracy_cell(row.accuracy)
    return f"{measured}, AUC {decimal(row.auc)}" if row.auc is not None else measured


def accuracy_cell(accuracy: Interval) -> str:
    """`97.87 [97.66, 98.06]`."""
    return f"{percent(accuracy.value)} {interval(accuracy.low, accuracy.high)}"


def _unmeasured(studies: Sequence[Study]) -> list[str]:
    """Which command measures what tested studies lack."""
    lacking = [study.name for study in studies if study.outcome("tuned") and not study.records.robustness.rows]
    if not lacking:
        return []
    return [
        f"Degraded test images are not measured for {', '.join(lacking)}: `cifake-ray evaluate RUN --robustness` does "
        "it (a pass over the test images for each degradation)."
    ]


def _weakness(studies: Sequence[Study]) -> str:
    """How the worst degradation hits each study for which it is measured."""
    drops = []
    for study in studies:
        rows = {row.name: row for row in study.records.robustness.rows}
        spoilt = [row for row in rows.values() if row.kind not in ("clean", *_SUBJECTS)]
        if spoilt and "as they are" in rows:
            worst = min(spoilt, key=lambda row: row.accuracy.value)
            values = [percent(row.accuracy.value, 1) for row in (rows["as they are"], worst)]
            drops.append(f"{study.name} falls from {values[0]} to {values[1]} % ({worst.name})")
    general = "Such detectors are weak under blur, compression and scaling, and on other generators."
    return (
        f"{general} Measured here: {'; '.join(drops)}." if drops else f"{general} It was not measured for these runs."
    )


@overview_figure(
    "robustness",
    "Accuracy on degraded test images, with 95 % intervals: the fewer images, the wider.",
    title="Degraded test images",
)
def robustness(studies: Sequence[Study]) -> Figure | None:
    """Accuracy on test images as they are and degraded, with 95 % intervals."""
    panels = [(number, study) for number, study in enumerate(studies) if study.records.robustness.rows]
    return _rows_figure(panels, lambda row: row.kind not in (TIER, *_SUBJECTS)) if panels else None


@overview_figure(
    "delivery",
    "Accuracy on test images as they are and as handed on, with 95 % intervals: a picture with a longer side above the "
    "tier's is reduced to it, none is enlarged, and every picture is saved as JPEG.",
    title="Delivery tiers",
)
def delivery(studies: Sequence[Study]) -> Figure | None:
    """Accuracy on test images clean and in the delivery tiers; None where no study has measured these."""
    panels = [(number, study) for number, study in enumerate(studies)
              if any(row.kind == TIER for row in study.records.robustness.rows)]  # fmt: skip
    return _rows_figure(panels, lambda row: row.kind in ("clean", TIER)) if panels else None


def _rows_figure(panels: Sequence[tuple[int, Study]], wanted: Callable[[RobustnessRow], bool]) -> Figure:
    """A band for each row that is wanted, with the accuracy and interval of studies, by their number in the report."""
    rows_of = {study.name: [row for row in study.records.robustness.rows if wanted(row)] for _, study in panels}
    names = list(dict.fromkeys(row.name for rows in rows_of.values() for row in rows))
    labels = _counted_names([study for _, study in panels])
    figure, panel = rows_panel(names, labels, left=max(1.55, _INCH * max(map(len, names))))
    panel.axvline(50, color=MUTED, linewidth=1, linestyle=(0, (3, 2)))
    for rank, (number, study) in enumerate(panels):
        for row in rows_of[study.name]:
            y = names.index(row.name) + study_offset(rank, len(panels))
            study_span(panel, 100 * row.accuracy.low, 100 * row.accuracy.high, y, number)
            study_dot(panel, 100 * row.accuracy.value, y, number)
        study_handle(panel, number, labels[rank])
    panel.set_xlabel("accuracy (%); dashed: 50 %, chance")
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


def _counted_names(studies: Sequence[Study]) -> list[str]:
    """Names of studies; with the number of degraded images where it is not the same for all."""
    counts = [study.records.robustness.test_images for study in studies]
    if len(set(counts)) == 1:
        return [short_name(study) for study in studies]
    return [f"{short_name(study)} ({whole(count)} images)" for study, count in zip(studies, counts, strict=True)]
