"""What a study's tuned model reached on groups of its test images, and what part each group had in the training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard

import numpy as np

from cifake_ray.experiment import GENERATOR
from cifake_ray.reporting.load import Study
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import SCHEMA, GroupRow, Interval, LeaveOneOut, OverGroups, WithoutGroup
from cifake_ray.stats.groups import Summary, group_scores, scores_by_group, summary
from cifake_ray.stats.intervals import wilson

Part = Literal["trained", "left out", "validated", "not in train"]
PARTS: tuple[Part, ...] = ("trained", "left out", "validated", "not in train")
# The figures of a group over which mean, spread and minimum are taken, by the words of a column.
FIGURES: dict[str, Callable[[GroupRow], float | None]] = {
    "FAKE right %": lambda row: row.right.value,
    "Balanced %": lambda row: row.balanced_accuracy.value,
    "AP": lambda row: row.average_precision,
    "AUC": lambda row: row.auc,
}
_KEYS = {"FAKE right %": "right", "Balanced %": "balanced_accuracy", "AP": "average_precision", "AUC": "auc"}


@dataclass(frozen=True)
class Judged:
    """Test images of one group, without copies of train images; scores are means over the seeds of the tuned model.

    `part`: whether FAKE images of this group trained, or chose configurations (`validated`), or were left out.
    """

    study: str
    row: GroupRow
    part: Part


def by_generator(study: Study) -> list[Judged]:
    """FAKE test images of each generator; [] where no generator is known, or nothing is tested."""
    found = study.predictions
    seeds = _seeds(study)
    if found is None or not seeds or GENERATOR not in found.groups:
        return []
    values = np.where(found.labels == 0, found.groups[GENERATOR], "")
    scores = scores_by_group(found.labels, seeds, values)
    return [
        Judged(study.name, GroupRow.of(GENERATOR, value, LABELS[0], one), part_of(study, GENERATOR, value))
        for value, one in scores.items()
    ]


def left_out(study: Study) -> list[Judged]:
    """Test images of each group that `data.leave_out` names, of any column; [] where nothing is tested."""
    found, seeds, rows = study.predictions, _seeds(study), []
    for column, values in study.experiment.data.leave_out.items() if found is not None and seeds else ():
        assert found is not None
        for value in values:
            member = found.groups.get(column, np.zeros(len(found.labels), np.str_)) == value
            if member.any():
                label = _label(found.labels[member])
                scores = group_scores(found.labels, seeds, member)
                rows.append(Judged(study.name, GroupRow.of(column, value, label, scores), "left out"))
    return rows


def of_class(study: Study, label: int) -> GroupRow | None:
    """All test images of a class (0 FAKE, 1 REAL) as a row: its share that is judged rightly; None before the test."""
    found, seeds = study.predictions, _seeds(study)
    if found is None or not seeds or not (member := found.labels == label).any():
        return None
    return GroupRow.of("", "", LABELS[label], group_scores(found.labels, seeds, member))


def part_of(study: Study, column: str, value: str) -> Part:
    """What part FAKE images of a group had in the study's training, by its experiment and environment.json."""
    data = study.records.environment.data
    if value in study.experiment.data.leave_out.get(column, ()):
        return "left out"
    if column == GENERATOR and value in data.unseen:
        return "validated"
    known = {name for one in data.taken if one.part in ("train", "validation") for name in one.groups.get(column, {})}
    return "trained" if value in known or not data.taken else "not in train"


def summarised(rows: Sequence[Judged]) -> dict[str, tuple[Summary, str]]:
    """For each of FIGURES mean, spread and minimum over the groups of 20 images or more, and the group of the minimum.

    Figures that no group has are left out.
    """
    found = {}
    for name, figure in FIGURES.items():
        values = [(value, one.row.value) for one in rows if one.row.large and _known(value := figure(one.row))]
        if values:
            found[name] = (summary([value for value, _ in values]), min(values)[1])
    return found


def pooled(rows: Sequence[Judged]) -> Interval:
    """Share of the images of all these groups that is judged rightly, with its 95 % interval; NaN without images."""
    images = sum(one.row.images for one in rows)
    if not images:
        return Interval()
    share = sum(one.row.right.value * one.row.images for one in rows) / images
    low, high = wilson(share, images)
    return Interval(value=share, low=low, high=high)


def leave_one_out(studies: Sequence[Study], column: str) -> LeaveOneOut:
    """The groups of a column, each judged by the study that left it out, and each figure over the groups."""
    found, apart = [], []
    for study in studies:
        real = of_class(study, 1)
        for one in left_out(study):
            if one.row.column == column:
                apart.append(one)
                about = WithoutGroup(study=study.name, run=str(study.path), real=real.right if real else Interval())
                found.append(WithoutGroup.model_validate(one.row.as_json()).updated(about))
    figures = {
        _KEYS[name]: OverGroups(
            mean=over.mean, spread=over.spread if _known(over.spread) else None, minimum=over.minimum, lowest=lowest
        )
        for name, (over, lowest) in summarised(apart).items()
    }
    return LeaveOneOut(schema_version=SCHEMA, column=column, studies=found, figures=figures)


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and value == value


def _seeds(study: Study) -> list[np.ndarray]:
    return list(study.predictions.p_fake.get("tuned", {}).values()) if study.predictions is not None else []


def _label(labels: np.ndarray) -> str:
    """The one class of the images; "" of both."""
    classes = np.unique(labels).tolist()
    return LABELS[classes[0]] if len(classes) == 1 else ""
