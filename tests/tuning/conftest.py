"""Studies driven by hand, as Ray Tune would drive them: no Ray is started."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.experiment import Experiment
from cifake_ray.runs.names import create_run
from cifake_ray.runs.run import Run
from cifake_ray.tuning.record import StudyRecord

OpenRecord = Callable[..., StudyRecord]
SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "batch_size": {"type": "categorical", "choices": [32, 64]},
    "head_width": {"type": "int", "low": 32, "high": 128},
}


def experiment_of(space: dict[str, Any] | None = None, **sections: Any) -> Experiment:
    """A CNN's experiment of 3 epochs; each section's keys as keyword arguments."""
    tree: dict[str, Any] = {"name": "cnn", "model": {"kind": "cnn"}, "training": {"epochs": 3}, "search": {"trials": 6}}
    for name, section in sections.items():
        tree[name] = tree.get(name, {}) | section
    return Experiment.model_validate(tree | {"search_space": SPACE if space is None else space})


def epoch_result(epoch: int, accuracy: float = 0.8, **others: Any) -> dict[str, Any]:
    """What a trial reports after an epoch; the best epoch is the last one."""
    row = {"epoch": epoch, "train_loss": 0.6 / epoch, "train_accuracy": 0.7, "val_loss": 1 - accuracy,
           "val_accuracy": accuracy, "learning_rate": 1e-3 / 3, "seconds": 1.25}  # fmt: skip
    best = {"best_epoch": epoch, "best_val_accuracy": accuracy, "best_val_loss": 1 - accuracy}
    spent = {"best_train_accuracy": accuracy + 0.05, "total_seconds": 1.25 * epoch, "cpu_seconds": 1.0 * epoch}
    return row | best | spent | {"training_iteration": epoch} | others


@pytest.fixture
def open_record(tmp_path: Path) -> OpenRecord:
    """open_record(experiment): the record of the test's one run; opened again it is what a resume sees."""

    def open_again(experiment: Experiment | None = None) -> StudyRecord:
        experiment = experiment or experiment_of()
        run = Run(tmp_path / "runs" / experiment.name)
        if not run.path.exists():
            create_run(run.path.parent, run.name, experiment)
        return StudyRecord(run, experiment)

    return open_again


def record_with(
    open_record: OpenRecord, accuracy: float | None, into: StudyRecord | None = None, number: int = 0,
    parameters: float | None = None, **search: Any,
) -> StudyRecord:  # fmt: skip
    """A record with a running trial that reached this accuracy in its first epoch (validation loss: the rest to 1)."""
    record = into or open_record(experiment_of(search=search))
    record.study.ask()
    record.start(number, {"lr": 1e-3, "batch_size": 32, "head_width": 64})
    if accuracy is not None:
        more = {} if parameters is None else {"parameters": parameters}
        record.add_epoch(number, epoch_result(1, accuracy, **more))
    return record
