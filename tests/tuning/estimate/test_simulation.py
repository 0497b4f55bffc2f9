"""How many epochs a scheduler runs, and how long a study takes, in simulated time."""

import pytest

from cifake_ray.tuning.estimate.simulation import ACTOR_SECONDS, FIRST_SECONDS, TRIAL_SECONDS, replay, replay_retraining

from ..conftest import experiment_of


def test_without_a_scheduler_every_epoch_is_run_on_the_places_there_are() -> None:
    experiment = experiment_of(training={"epochs": 3}, search={"trials": 4, "scheduler": "none"})
    full, stopped = replay(experiment, 2, [2.0])
    assert full == stopped
    assert full.epochs == 12
    assert full.seconds == pytest.approx(FIRST_SECONDS + ACTOR_SECONDS + 2 * (TRIAL_SECONDS + 3 * 2.0))


def rungs_up_to(epoch: int, grace: int, factor: int) -> int:
    """How many of the rungs grace, grace * factor, … lie at or below this many epochs."""
    return sum(grace * factor**k <= epoch for k in range(10))


@pytest.mark.parametrize(("factor", "grace", "epochs"), [(3, 1, 9), (2, 1, 8), (3, 3, 9), (4, 2, 8)])
def test_asha_lets_one_in_reduction_factor_go_on_at_each_rung(factor: int, grace: int, epochs: int) -> None:
    search = {"trials": 400, "reduction_factor": factor, "grace_epochs": grace}
    full, stopped = replay(experiment_of(training={"epochs": epochs}, search=search), 1, [1.0])
    expected = sum(factor ** -rungs_up_to(epoch, grace, factor) for epoch in range(epochs))
    assert stopped.epochs / full.epochs == pytest.approx(expected / epochs, rel=0.1)
    assert stopped.seconds < full.seconds


def test_small_validation_loss_is_good_too() -> None:
    search = {"trials": 100, "metric": "val_loss"}
    full, stopped = replay(experiment_of(training={"epochs": 9}, search=search), 1, [1.0])
    assert 0.2 < stopped.epochs / full.epochs < 0.5


def test_more_places_take_less_time_and_the_same_epochs() -> None:
    experiment = experiment_of(search={"trials": 40, "scheduler": "none"})
    one, four = (replay(experiment, slots, [10.0])[0] for slots in (1, 4))
    assert one.epochs == four.epochs
    assert one.seconds / 5 < four.seconds < one.seconds / 3


def test_winner_and_baseline_are_retrained_with_every_seed_to_the_last_epoch() -> None:
    search = {"winner_seeds": 3}
    seconds = replay_retraining(experiment_of(training={"epochs": 3}, search=search), 1, 2.0)
    assert seconds == pytest.approx(6 * (TRIAL_SECONDS + 3 * 2.0))
    assert replay_retraining(experiment_of(search={"winner_seeds": 0}), 1, 2.0) == 0


@pytest.mark.parametrize(("scheduler", "low", "high"), [("hyperband", 0.45, 0.65), ("median", 0.3, 0.5)])
def test_the_other_schedulers_are_replayed_too(scheduler: str, low: float, high: float) -> None:
    """Hyperband saves less than ASHA (0.31 here), the median rule about as much."""
    experiment = experiment_of(training={"epochs": 9}, search={"trials": 60, "scheduler": scheduler})
    full, stopped = replay(experiment, 1, [1.0])
    assert low < stopped.epochs / full.epochs < high
