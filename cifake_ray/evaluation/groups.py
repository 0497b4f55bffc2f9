"""Scores of a detector by a group column of the images, such as the generator."""

import numpy as np

from cifake_ray.data.groups import values_of
from cifake_ray.data.table import ImageTable
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import GroupRow
from cifake_ray.stats.groups import scores_by_group


def group_rows(table: ImageTable, p_fake: np.ndarray, column: str) -> list[GroupRow]:
    """A row for each group of the column, by name; p_fake: float [n].

    Raises InputError (`--by`) for a column that the images do not have.
    """
    values = values_of(table, column, f"--by {column}")
    return [
        GroupRow.of(column, value, label_of(table.labels[values == value]), scores)
        for value, scores in scores_by_group(table.labels, [p_fake], values).items()
    ]


def label_of(labels: np.ndarray) -> str:
    """The one class of these images, uint8 [n]; "" where there are both."""
    classes = np.unique(labels).tolist()
    return LABELS[classes[0]] if len(classes) == 1 else ""
