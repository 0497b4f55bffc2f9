"""Labelled images from elsewhere, judged by the winners, as they are and degraded."""

from collections.abc import Sequence

from cifake_ray.reporting.formatting import NOTHING, decimal, percent, whole
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.sections.robustness import METHOD as DEGRADED_METHOD
from cifake_ray.reporting.sections.robustness import accuracy_cell, degraded
from cifake_ray.runs.records import Evaluation

_METHOD = (
    "Labelled images from elsewhere, judged by the model in best/; FAKE above probability 0.5 unless marked. Images "
    "outside what the model knows are unlike those of validation: its answers to them mean nothing."
)


def build(studies: Sequence[Study]) -> Section:
    """A row for each study and set of images."""
    rows = [_row(study.name, noted) for study in studies for noted in study.records.evaluations
            if not noted.at_threshold.empty]  # fmt: skip
    caveats = (_caveat(studies),)
    if not rows:
        return Section(caveats=caveats)
    return Section("Other images", tables=(Table(rows),), method=_METHOD, caveats=caveats)


def build_degraded(studies: Sequence[Study]) -> Section | None:
    """A row for each degradation, a column for each study and set of images."""
    measured = {f"{study.name} on {set_name(noted)}": noted.robustness
                for study in studies for noted in study.records.evaluations}  # fmt: skip
    rows = degraded(measured, of_subjects=False)
    return Section("Other images, degraded", tables=(Table(rows),), method=DEGRADED_METHOD) if rows else None


def _row(study: str, noted: Evaluation) -> dict[str, str]:
    found = noted.at_threshold
    return {
        "Study": study,
        "Images": set_name(noted),
        "Number": whole(found.images),
        "Accuracy %": accuracy_cell(found.accuracy),
        "Constant answer %": percent(noted.constant_accuracy),
        "AUC": decimal(found.auc),
        "FAKE judged rightly %": percent(found.recognised_fake),
        "REAL judged rightly %": percent(found.recognised_real),
        "Outside what the model knows": _outside(noted),
    }


def _outside(noted: Evaluation) -> str:
    """Share of images unlike those of validation, whose answers mean nothing; a dash where that is unknown."""
    known = noted.domain.inside + noted.domain.outside
    return f"{percent(noted.domain.outside / known)} % ({whole(noted.domain.outside)})" if known else NOTHING


def set_name(noted: Evaluation) -> str:
    return (noted.data or "?").rstrip("/").rpartition("/")[2]


def _caveat(studies: Sequence[Study]) -> str:
    if any(study.records.evaluations for study in studies):
        return "Of images from elsewhere, only those in the table of other images were measured."
    return "No images of another generator were tried: on them the figures above do not hold."
