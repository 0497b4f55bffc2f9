"""Ray Tune's callback, driven by hand as Ray Tune would drive it."""

from types import SimpleNamespace
from typing import Any

import pytest

from cifake_ray.tuning.monitor.tune_adapter import TuneAdapter
from cifake_ray.tuning.record import StudyRecord

from ..conftest import OpenRecord, epoch_result, record_with
from .recorder import Recorder


@pytest.fixture
def record(open_record: OpenRecord) -> StudyRecord:
    """A record with trial 0 running."""
    return record_with(open_record, 0.8)


def tunes(folder: str = "trials/0", number: int | None = 0, **last: Any) -> Any:
    config = {"folder": folder, "trial_id": number, "params": {"lr": 1e-3}, "seed": 4}
    return SimpleNamespace(trial_id="tune-name", config=config, last_result=last)


def test_a_trial_whose_process_dies_is_started_again(record: StudyRecord) -> None:
    adapter, trial = TuneAdapter(record, seen := Recorder()), tunes()
    adapter.on_trial_start(trial)
    adapter.on_trial_recover(trial)
    adapter.on_trial_start(trial)
    adapter.on_trial_result(trial, epoch_result(1, 0.8))
    record.finish(0, "completed")
    adapter.on_trial_complete(trial)
    assert seen.calls == [
        ("started", "0"), ("died", "0"), ("started", "0"), ("epoch", "0", 1, 0.8), ("ended", "0", "completed", ""),
    ]  # fmt: skip
    assert adapter.live == {}


def test_a_trial_whose_process_never_started_is_reported_as_started_and_failed(record: StudyRecord) -> None:
    record.finish(0, "failed", "its process could not be started")
    adapter = TuneAdapter(record, seen := Recorder())
    adapter.on_trial_error(tunes())
    assert seen.calls == [("started", "0"), ("ended", "0", "failed", "its process could not be started")]


@pytest.mark.parametrize(
    ("last", "error", "status", "reason"),
    [
        (epoch_result(3), False, "completed", ""),
        ({"failed": "the training loss is nan"}, False, "failed", "the training loss is nan"),
        (epoch_result(2), True, "failed", "its process died"),
        ({"storage": "no space left"}, False, "interrupted", ""),
    ],
)
def test_a_retraining_ends_as_its_last_report_says(
    last: dict[str, Any], error: bool, status: str, reason: str, record: StudyRecord
) -> None:
    adapter, trial = TuneAdapter(record, seen := Recorder()), tunes("winners/tuned-trial0-seed1", None, **last)
    adapter.on_trial_start(trial)
    (adapter.on_trial_error if error else adapter.on_trial_complete)(trial)
    assert seen.calls[-1] == ("ended", "tuned-trial0-seed1", status, reason)


def test_a_storage_that_a_trial_cannot_write_interrupts_it_as_the_records_fault(
    record: StudyRecord,
) -> None:
    adapter, trial = TuneAdapter(record, seen := Recorder()), tunes()
    adapter.on_trial_start(trial)
    adapter.on_trial_result(trial, {"storage": "no space left"})
    adapter.on_trial_complete(trial)
    assert record.fault == "no space left"
    assert seen.calls == [("started", "0"), ("ended", "0", "interrupted", "")]


def test_what_still_runs_when_tunes_loop_is_left_is_interrupted(record: StudyRecord) -> None:
    adapter = TuneAdapter(record, seen := Recorder())
    adapter.on_trial_start(tunes())
    adapter.interrupt_live()
    assert seen.calls == [("started", "0"), ("ended", "0", "interrupted", "")]
