"""What a study calls its callbacks with, while Ray Tune runs it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifake_ray.data import Split
from cifake_ray.tuning.monitor.callback import Callbacks
from cifake_ray.tuning.monitor.stopping import StopConditions, StopSignal
from cifake_ray.tuning.ray_cluster.capacity import Slots
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.study import Study
from cifake_ray.tuning.trial.context import TrialContext
from cifake_ray.tuning.trial.trainable import build_trainable

from ..conftest import OpenRecord, epoch_result, experiment_of
from .recorder import Recorder

pytestmark = pytest.mark.usefixtures("ray_session", "tune_settings")
ACCURACIES = {"0": 0.8, "1": 0.6, "tuned-trial0-seed1": 0.9}  # ASHA stops trial 1 after its first epoch; trial 2 fails


@pytest.fixture
def tune_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the program sets for Tune: a failed trial's report has no metric."""
    monkeypatch.setenv("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")


def scripted_study(record: StudyRecord, *callbacks: Any) -> Study:
    """A study, one trial at a time, whose trials report what the script says and train nothing."""

    def scripted(epoch_row: Callable[..., dict[str, Any]], accuracies: Mapping[str, float]) -> Any:
        def loop(context: Any, config: Mapping[str, Any], report: Callable[[dict[str, Any]], None]) -> None:
            name = config["folder"].rpartition("/")[2]
            if name not in accuracies:
                report({"failed": "the training loss is nan"})
                return
            for epoch in range(1, context.experiment.training.epochs + 1):
                report(epoch_row(epoch, accuracies[name] + epoch / 100) | {"trial_id": config["trial_id"]})

        return loop

    rows = Split(np.arange(0), np.arange(0))
    context = TrialContext(record.experiment, record.run.here(), Path("none"), rows, {})
    slots = Slots(record.experiment, own=True)
    trainable = build_trainable(context, slots.capacity.bundle, scripted(epoch_row, ACCURACIES))
    return Study(record, trainable, slots, Callbacks(callbacks))


def epoch_row(epoch: int, accuracy: float) -> dict[str, Any]:
    return {key: value for key, value in epoch_result(epoch, accuracy).items() if key != "training_iteration"}


def test_a_study_calls_its_callbacks_with_every_start_epoch_and_end_in_order(open_record: OpenRecord) -> None:
    search = {"trials": 3, "winner_seeds": 1, "scheduler": "asha", "reduction_factor": 2}
    record, seen = open_record(experiment_of(search=search, resources={"max_concurrent": 1})), Recorder()
    study = scripted_study(record, seen)
    with study.followed():
        assert study.tune() == "trials"
    assert seen.calls == [
        ("started", "0"), ("epoch", "0", 1, 0.81), ("epoch", "0", 2, 0.82), ("epoch", "0", 3, 0.83),
        ("ended", "0", "completed", ""),
        ("started", "1"), ("epoch", "1", 1, 0.61), ("ended", "1", "stopped", ""),
        ("started", "2"), ("ended", "2", "failed", "the training loss is nan"),
        ("search ended", 1),
        ("started", "tuned-trial0-seed1"), ("epoch", "tuned-trial0-seed1", 1, 0.91),
        ("epoch", "tuned-trial0-seed1", 2, 0.92), ("epoch", "tuned-trial0-seed1", 3, 0.93),
        ("ended", "tuned-trial0-seed1", "completed", ""),
        ("study ended", "trials", 0),
    ]  # fmt: skip
    assert {name: dict(seen.params[str(name)]) for name in range(3)} == {
        row.trial_id: row.params for row in record.rows.values()
    }
    assert seen.params["tuned-trial0-seed1"] == record.rows[0].params
    curve = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    assert all(tuple(metrics) == curve for metrics in seen.metrics)


def test_a_study_that_a_signal_ends_calls_its_callbacks_with_interrupted_ends(open_record: OpenRecord) -> None:
    record, seen, signal = open_record(experiment_of(resources={"max_concurrent": 1})), Recorder(), StopSignal()

    class Signals(Recorder):
        def epoch_reported(self, *event: Any) -> None:  # noqa: ARG002
            signal.received = True

    study = scripted_study(record, seen, Signals(), StopConditions(record, signal))
    with pytest.raises(Exception, match="interrupted"), study.followed():
        study.tune()
    assert seen.calls[:2] == [("started", "0"), ("epoch", "0", 1, 0.81)]
    assert seen.calls[-2:] == [("ended", "0", "interrupted", ""), ("study ended", "interrupted", 0)]
    assert record.rows[0].status == "interrupted"
