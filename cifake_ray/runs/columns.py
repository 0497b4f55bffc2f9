"""Columns of a run's tables, status words of its trials, and the two labels."""

from collections.abc import Sequence
from typing import Literal, get_args

from cifake_ray.experiment import Metric

Status = Literal["running", "completed", "stopped", "failed", "interrupted"]
STATUSES: tuple[str, ...] = get_args(Status)
FINISHED = ("completed", "stopped", "failed")  # what `--trials` counts
LABELS = ("FAKE", "REAL")  # label 0, label 1: the order in which an image-folder loader names them
POSITIVE = "FAKE"  # the positive class of F1, AUC and every probability that is stored

_TRIAL_TAIL = (
    "epochs", "best_epoch", "train_accuracy", "val_accuracy", "val_loss", "seconds", "cpu_seconds", "error",
)  # fmt: skip
CURVE_COLUMNS = (  # in runs of every version
    "trial_id", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
)  # fmt: skip
_LATER_COLUMNS = (Metric.VAL_BALANCED_ACCURACY, Metric.VAL_AUC)  # of the logits that validation computes anyway
TIMELINE_COLUMNS = ("trial_id", "start", "end")  # a row each time that a trial was worked on; seconds


def curve_columns(metric: Metric) -> list[str]:
    """The columns of curves.csv for a study by this metric, in order; runs of version 0.1 have CURVE_COLUMNS alone."""
    return list(dict.fromkeys([*CURVE_COLUMNS, *map(str, _LATER_COLUMNS), str(metric)]))


def trial_columns(fields: Sequence[str]) -> list[str]:
    """The columns of trials.csv for an experiment with these `trial_fields`, in order."""
    return ["trial_id", "status", *fields, *_TRIAL_TAIL]
