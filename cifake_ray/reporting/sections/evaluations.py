"""Labelled images from elsewhere, judged by the winners, as they are and degraded."""

from collections.abc import Sequence
from typing import Any

from cifake_ray.reporting.formatting import decimal, percent, whole
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.sections.robustness import METHOD as DEGRADED_METHOD
from cifake_ray.reporting.sections.robustness import degraded, scores_cell
from cifake_ray.runs.columns import LABELS

_METHOD = "Labelled images from elsewhere, judged by the model in best/; FAKE above probability 0.5 unless marked."


def build(studies: Sequence[Study]) -> Section:
    """A row for each study and set of images."""
    rows = [_row(study.name, noted) for study in studies for noted in study.evaluations if noted.get("at_threshold")]
    caveats = (_caveat(studies),)
    if not rows:
        return Section(caveats=caveats)
    return Section("Other images", tables=(Table(rows),), method=_METHOD, caveats=caveats)


def build_degraded(studies: Sequence[Study]) -> Section | None:
    """A row for each degradation, a column for each study and set of images."""
    measured = {f"{study.name} on {_set_name(noted)}": noted.get("robustness") or {}
                for study in studies for noted in study.evaluations}  # fmt: skip
    rows = degraded(measured, of_subjects=False)
    return Section("Other images, degraded", tables=(Table(rows),), method=DEGRADED_METHOD) if rows else None


def _row(study: str, noted: dict[str, Any]) -> dict[str, str]:
    found = noted["at_threshold"]
    return {
        "Study": study,
        "Images": _set_name(noted),
        "Number": whole(found["images"]),
        "Accuracy %": scores_cell(found | {"auc": None}),
        "AUC": decimal(found["auc"]),
        **{f"{label} judged rightly %": percent(found[f"recognised_{label}"]) for label in LABELS},
    }


def _set_name(noted: dict[str, Any]) -> str:
    return str(noted.get("data", "?")).rstrip("/").rpartition("/")[2]


def _caveat(studies: Sequence[Study]) -> str:
    if any(study.evaluations for study in studies):
        return "Of images from elsewhere, only those in the table of other images were measured."
    return "No images of another generator were tried: on them the figures above do not hold."
