"""What ends a study early."""

import os
import signal
import time
from typing import Any

import pytest

from cifake_ray.tuning.monitor.callback import StopConditions, StudyStopped, catching_signals
from cifake_ray.tuning.record import StudyRecord

from ..conftest import OpenRecord, experiment_of, record_with


def guard_after(seconds: float, record: StudyRecord) -> StopConditions:
    """The guard of a study that began so many seconds ago."""
    return StopConditions(record.experiment.search, started=time.monotonic() - seconds)


@pytest.mark.parametrize(
    ("accuracy", "search", "reason"),
    [
        (0.9, {"target": 0.9}, "target"),
        (0.89, {"target": 0.9}, None),
        (None, {"target": 0.9}, None),
        (0.9, {"target": 0.1, "metric": "val_loss"}, "target"),
        (0.89, {"target": 0.1, "metric": "val_loss"}, None),
        (0.99, {}, None),
        (0.1, {"time_budget_s": 1}, "time budget"),
        (0.1, {"time_budget_s": 1e6}, None),
    ],
)
def test_a_study_ends_at_its_target_or_budget_and_not_before(
    open_record: OpenRecord, accuracy: float | None, search: dict[str, Any], reason: str | None
) -> None:
    record = record_with(open_record, accuracy, **search)
    if search.get("metric") == "val_loss" and reason:
        record.rows[0].best["best_val_loss"] = 0.1  # 1 - 0.9 is a little less in binary
    assert guard_after(10.0, record).reason(record) == reason


def test_a_signal_comes_before_every_other_reason(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.9, target=0.5, time_budget_s=1)
    guard = guard_after(10.0, record)
    guard.signalled = True
    assert guard.reason(record) == "interrupted"


def test_a_retraining_ends_at_a_signal_only(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.9, target=0.5, time_budget_s=1)
    guard = guard_after(10.0, record)
    guard.searching = False
    assert guard.reason(record) is None
    guard.signalled = True
    assert guard.reason(record) == "interrupted"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_is_noted_and_the_handlers_are_put_back(
    kind: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(kind)
    guard = StopConditions(experiment_of().search)
    with catching_signals(guard):
        os.kill(os.getpid(), kind)
        assert guard.signalled
    assert signal.getsignal(kind) is before
    assert "once more to stop now" in capsys.readouterr().err


def test_a_signal_ends_what_comes_before_the_first_trial(open_record: OpenRecord) -> None:
    guard = StopConditions(open_record().experiment.search)
    guard.check_signal()
    guard.signalled = True
    with pytest.raises(StudyStopped, match="interrupted"):
        guard.check_signal()
