"""What ends a study early."""

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from cifake_ray.signals import interruption
from cifake_ray.tuning.monitor.callback import RunningTrial
from cifake_ray.tuning.monitor.stopping import (
    LastLine,
    StopConditions,
    StopSignal,
    StorageCheck,
    StudyStopped,
    catching_signals,
)
from cifake_ray.tuning.record import StudyRecord

from ..conftest import OpenRecord, record_with


def conditions_after(seconds: float, record: StudyRecord) -> StopConditions:
    """The conditions of a study that has searched so many seconds."""
    return StopConditions(record, StopSignal(), seconds)


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
    assert conditions_after(10.0, record).reason() == reason


def test_a_signal_comes_before_every_other_reason(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.9, target=0.5, time_budget_s=1)
    conditions = conditions_after(10.0, record)
    conditions.signal.received = True
    with pytest.raises(StudyStopped, match="interrupted"):
        conditions.step_ended()


def test_a_retraining_ends_at_a_signal_only(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.9, target=0.5, time_budget_s=1)
    conditions = conditions_after(10.0, record)
    conditions.search_ended(1)
    conditions.step_ended()
    conditions.signal.received = True
    assert conditions.reason() == "interrupted"


def test_a_storage_that_cannot_be_written_ends_a_study(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.5)
    record.fault = "no space left"
    with pytest.raises(StudyStopped, match="storage"):
        conditions_after(0.0, record).step_ended()


def test_the_line_of_a_signal_counts_trials_from_the_first_moment_to_the_last(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.5)
    LastLine(record)
    assert str(interruption()).startswith(f"interrupted with 0 of 6 trials done; everything is in {record.run.where};")
    record.finish(0, "completed")
    LastLine(record).trial_ended(RunningTrial("0", 0, {}, 0), "completed", "")
    assert str(interruption()).startswith("interrupted with 1 of 6 trials done;")


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_is_noted_and_the_handlers_are_put_back(
    kind: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(kind)
    with catching_signals() as stop:
        os.kill(os.getpid(), kind)
        assert stop.received
    assert signal.getsignal(kind) is before
    assert "once more to stop now" in capsys.readouterr().err


def test_a_signal_ends_what_comes_before_the_first_trial() -> None:
    stop = StopSignal()
    stop.check()
    stop.received = True
    with pytest.raises(StudyStopped, match="interrupted"):
        stop.check()


def test_nodes_that_join_are_checked_and_all_of_them_once_the_storage_has_a_fault(open_record: OpenRecord) -> None:
    record, asked = record_with(open_record, 0.5), []
    nodes: Any = SimpleNamespace(check_all=lambda: asked.append("all"), check_new=lambda: asked.append("new"))
    check = StorageCheck(record, nodes)
    check.step_ended()
    record.fault = "no such folder"
    check.step_ended()
    assert asked == ["new", "all"]
