"""The time that a study still takes, by a simulated clock."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cifake_ray.tuning.estimate.forecast import Forecast, State, Work


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def simulate(work: Work, stopped_after: list[int], seconds: float, test: float) -> list[tuple[float, float, float]]:
    """One slot: trials that run so many epochs, then the retrainings, then the test; (share, estimate, truth)."""
    clock = Clock()
    forecast = Forecast(work, clock)
    total = seconds * (sum(stopped_after) + work.retrainings * work.epochs) + test
    seen, ended = [], []
    for epochs in stopped_after:
        for done in range(1, epochs + 1):
            clock.now += seconds
            forecast.epoch(State(ended, [done]))
            seen.append((clock.now / total, forecast.left(), total - clock.now))
        ended.append(epochs)
    for done in range(1, work.retrainings * work.epochs + 1):
        clock.now += seconds
        forecast.epoch(State(ended, [], done, searching=False))
        seen.append((clock.now / total, forecast.left(), total - clock.now))
    return [(share, left, truth) for share, left, truth in seen if left is not None]


def test_from_half_time_on_the_estimate_is_within_a_quarter_of_the_truth() -> None:
    work = Work(trials=10, epochs=10, share=0.6, retrainings=6, test_s=16.0)
    for stopped in ([10, 10, 2, 2, 4, 2, 10, 2, 2, 4], [10] * 10, [10, *[2] * 9]):
        late = [(left, truth) for share, left, truth in simulate(work, stopped, 5.0, 20.0) if share >= 0.5]
        assert all(abs(left - truth) <= 0.25 * truth for left, truth in late)


def test_the_time_left_counts_down_between_epochs_and_never_reaches_zero() -> None:
    clock = Clock()
    forecast = Forecast(Work(trials=4, epochs=5, share=1.0, retrainings=0), clock)
    for done in range(1, 4):
        clock.now += 10
        forecast.epoch(State([], [done]))
    before = forecast.left()
    assert before is not None
    clock.now += 7
    assert forecast.left() == pytest.approx(before - 7)
    clock.now += 1e6
    assert forecast.left() == 1.0


def test_retraining_and_test_are_in_the_time_left_while_trials_run() -> None:
    def left(retrainings: int, test_s: float) -> float:
        clock = Clock()
        forecast = Forecast(Work(2, 5, 1.0, retrainings, test_s=test_s), clock)
        for done in range(1, 4):
            clock.now += 10
            forecast.epoch(State([], [done]))
        return forecast.left() or 0.0

    assert left(6, 0.0) - left(0, 0.0) == pytest.approx(6 * 5 * 10)
    assert left(0, 33.0) - left(0, 0.0) == pytest.approx(33)


def test_nothing_is_estimated_before_the_first_trial_or_the_third_epoch_ends() -> None:
    clock = Clock()
    forecast = Forecast(Work(2, 5, 1.0, 6), clock)
    clock.now = 10
    forecast.epoch(State([], [1]))
    assert forecast.left() is None


def test_a_short_study_has_an_estimate_from_its_first_ended_trial_on() -> None:
    clock = Clock()
    forecast = Forecast(Work(trials=2, epochs=1, share=1.0, retrainings=2), clock)
    clock.now = 10
    forecast.epoch(State([], [1]))
    first = forecast.left()
    assert first == pytest.approx(3 * 10 + 3)  # a trial and two retrainings, then the test
    clock.now = 14
    forecast.epoch(State([1], [1]))
    assert forecast.left() == pytest.approx(2 * 7 + 3)
    clock.now = 18
    forecast.epoch(State([1, 1], [], 1, searching=False))
    assert forecast.left() == pytest.approx(4 + 3)  # by the distance of epochs alone, now that three have ended


def test_a_resumed_study_has_an_estimate_before_its_first_epoch_ends() -> None:
    clock = Clock()
    forecast = Forecast(Work(trials=4, epochs=5, share=1.0, retrainings=2), clock)
    forecast.resume(10.0, State([5, 5], [2]))
    assert forecast.left() == pytest.approx(10 * (3 + 5 + 2 * 5) + 3)
    clock.now = 7
    assert forecast.left() == pytest.approx(183 - 7)
    clock.now = 50  # the start of processes is no epoch's work
    forecast.epoch(State([5, 5], [3]))
    assert forecast.left() == pytest.approx(183 - 50)
    for done in (4, 5):
        clock.now += 5
        forecast.epoch(State([5, 5], [done]))
    assert 60 < (forecast.left() or 0) < 123  # between the pace of now, 5 s an epoch, and that of before


RECORDED = Path(__file__).parent / "recorded"  # epochs of real demo studies on two shared cores, with when each ended


@pytest.mark.parametrize(("study", "bound"), [("cnn", 0.25), ("resnet50", 0.25), ("resumed", 1.0)])
def test_in_recorded_studies_the_estimate_holds_from_half_time_on(study: str, bound: float) -> None:
    """`resumed` is an interrupted study's second half, on a machine whose pace changed threefold meanwhile."""
    recorded = json.loads((RECORDED / f"{study}.json").read_text())
    clock = Clock()
    forecast, late = Forecast(Work(**recorded["work"]), clock), 0
    for when, ended, running, retrained, cost, searching, networks in recorded["epochs"]:
        clock.now = when
        forecast.work = replace(forecast.work, retrainings=networks)
        forecast.epoch(State(ended, running, retrained, cost, searching))
        truth, left = recorded["end"] - when, forecast.left()
        if when >= recorded["end"] / 2:
            assert left is not None
            assert abs(left - truth) <= bound * truth, f"at {when} s"
            late += 1
    assert late
