"""Early stopping on scripted learning curves, asked as Tune asks it: no Ray is started."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from cifake_ray.tuning.search.scheduler import SearchTrial, bracket_of, build_scheduler, count_brackets
from cifake_ray.tuning.search.searcher import StudySearch

from ..conftest import OpenRecord, epoch_result, experiment_of

SCHEDULERS = ("asha", "hyperband", "median")
EPOCHS = 9


class Retraining(SimpleNamespace):
    """A trial of Tune's that retrains a winner."""

    __hash__ = object.__hash__
    config = {"trial_id": None}  # noqa: RUF012


def scheduler_of(kind: str, **search: Any) -> TrialScheduler:
    return build_scheduler(
        experiment_of(training={"epochs": EPOCHS}, search={"scheduler": kind, "trials": 30} | search)
    )


def train(scheduler: TrialScheduler, trial: Any, accuracy: float, epochs: int = EPOCHS) -> int:
    """Report a constant accuracy until the scheduler stops the trial, as Tune does; returns the epochs run."""
    scheduler.on_trial_add(None, trial)
    for epoch in range(1, epochs + 1):
        result = epoch_result(epoch, accuracy)
        if epoch == epochs or scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
            break
    scheduler.on_trial_complete(None, trial, result)
    return epoch


def trial_of(number: int) -> SearchTrial:
    return SearchTrial(f"ray-{number}", number)


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_bad_trials_are_stopped_and_the_best_runs_to_its_end(kind: str) -> None:
    scheduler = scheduler_of(kind)
    good = [train(scheduler, trial_of(number), 0.9 + 0.001 * number) for number in range(8)]
    bad = [train(scheduler, trial_of(number), 0.6 - 0.001 * number) for number in range(8, 24)]
    assert good == [EPOCHS] * 8
    assert min(bad) == 1
    assert sum(epochs < EPOCHS for epochs in bad) >= len(bad) / 2


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_the_baseline_runs_to_its_end_however_bad_it_is(kind: str) -> None:
    """Also of a resumed study, whose scheduler is told of the trials before."""
    scheduler = scheduler_of(kind)
    for number in range(1, 12):
        train(scheduler, trial_of(number), 0.9 + 0.001 * number)
    assert train(scheduler, trial_of(0), 0.5) == EPOCHS
    assert train(scheduler, trial_of(40), 0.5) < EPOCHS


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_small_losses_are_good(kind: str) -> None:
    scheduler = scheduler_of(kind, metric="val_loss")
    for number in range(8):
        assert train(scheduler, trial_of(number), 0.8 + 0.001 * number) == EPOCHS
    assert min(train(scheduler, trial_of(number), 0.4 - 0.001 * number) for number in range(8, 16)) == 1


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_retrainings_are_never_stopped_and_change_nothing_for_trials(kind: str) -> None:
    scheduler, without = scheduler_of(kind), scheduler_of(kind)
    for number in range(12):
        for one in (scheduler, without):
            train(one, trial_of(number), 0.8 + 0.001 * number)
    assert [train(scheduler, Retraining(trial_id=f"r{i}"), 0.5) for i in range(4)] == [EPOCHS] * 4
    accuracies = [0.7 + 0.01 * i for i in range(12)]
    after = [[train(one, trial_of(12 + i), accuracy) for i, accuracy in enumerate(accuracies)]
             for one in (scheduler, without)]  # fmt: skip
    assert after[0] == after[1]


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_failed_trial_without_an_epoch_disturbs_nothing(kind: str) -> None:
    scheduler = scheduler_of(kind)
    for number in range(6):
        scheduler.on_trial_add(None, trial_of(number))
        assert scheduler.on_trial_result(None, trial_of(number), {"failed": "NaN"}) == TrialScheduler.CONTINUE
        scheduler.on_trial_complete(None, trial_of(number), {"failed": "NaN"})
    assert train(scheduler, trial_of(7), 0.8) == EPOCHS


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_resumed_study_stops_by_what_its_finished_trials_had_reached(open_record: OpenRecord, kind: str) -> None:
    experiment = experiment_of(training={"epochs": EPOCHS}, search={"scheduler": kind, "trials": 30})
    record = open_record(experiment)
    search = StudySearch(record, lambda: 1)
    for number in range(6):
        search.suggest(f"a{number}")
        last = EPOCHS if number else 2
        for epoch in range(1, last + 1):
            search.on_trial_result(f"a{number}", epoch_result(epoch, 0.9 if number else 0.5))
        search.on_trial_complete(f"a{number}", epoch_result(last, 0.9 if number else 0.5))
    scheduler = build_scheduler(experiment, open_record(experiment))
    assert min(train(scheduler, trial_of(number), 0.7) for number in range(6, 12)) == 1
    fresh = build_scheduler(experiment)
    assert train(fresh, trial_of(6), 0.7) == EPOCHS


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_epochs_reported_again_after_a_process_died_are_judged_once(kind: str) -> None:
    scheduler = scheduler_of(kind)
    for number in range(5):
        train(scheduler, trial_of(number), 0.8)
    trial = trial_of(5)
    scheduler.on_trial_add(None, trial)
    for epoch in (1, 2, 3):
        assert scheduler.on_trial_result(None, trial, epoch_result(epoch, 0.9)) == TrialScheduler.CONTINUE
    scheduler.on_trial_error(None, trial)
    scheduler.on_trial_add(None, trial)  # as Tune does when it starts the trial again
    for epoch in (1, 2, 3, 4):
        assert scheduler.on_trial_result(None, trial, epoch_result(epoch, 0.9)) == TrialScheduler.CONTINUE


def test_the_median_rule_counts_an_epoch_reported_again_once() -> None:
    """Means of 0, 1, 1 are 0.67, above 0.63; with the first two twice they would be 0.6."""
    scheduler = scheduler_of("median")
    for number in range(4):
        scheduler.on_trial_add(None, trial_of(number))
        for epoch, accuracy in ((1, 0.0), (2, 1.0), (1, 0.0), (2, 1.0), (3, 1.0)):
            scheduler.on_trial_result(None, trial_of(number), epoch_result(epoch, accuracy))
    assert train(scheduler, trial_of(4), 0.63) == 3


def test_median_never_asks_tune_to_pause_a_trial() -> None:
    """Ray's rule would, while there are too few trials to compare with; then a trial needs a checkpoint of Tune's."""
    scheduler = scheduler_of("median")
    scheduler.on_trial_add(None, trial_of(0))
    answers = {scheduler.on_trial_result(None, trial_of(0), epoch_result(epoch, 0.5)) for epoch in range(1, 9)}
    assert answers == {TrialScheduler.CONTINUE}


@pytest.mark.parametrize(
    ("epochs", "grace", "factor", "brackets"),
    [(9, 1, 3, 3), (10, 1, 3, 3), (27, 1, 3, 4), (243, 1, 3, 6), (8, 2, 2, 3), (3, 1, 3, 2)],
)
def test_hyperband_has_a_bracket_for_each_rung(epochs: int, grace: int, factor: int, brackets: int) -> None:
    search = {"scheduler": "hyperband", "grace_epochs": grace, "reduction_factor": factor}
    experiment = experiment_of(training={"epochs": epochs}, search=search)
    assert count_brackets(experiment) == brackets
    build_scheduler(experiment)


@pytest.mark.parametrize(("brackets", "factor", "shares"), [(3, 3, (9, 5, 3)), (2, 2, (2, 2)), (1, 3, (1,))])
def test_any_run_of_trials_fills_the_brackets_in_hyperbands_shares(
    brackets: int, factor: int, shares: tuple[int, ...]
) -> None:
    total = sum(shares)
    for start in (0, 7, 100):
        for length in (total, 4 * total):
            found = Counter(bracket_of(number, brackets, factor) for number in range(start, start + length))
            for bracket, share in enumerate(shares):
                assert abs(found[bracket] - share * length / total) < 2


def test_hyperbands_later_brackets_give_bad_beginnings_more_epochs() -> None:
    scheduler = scheduler_of("hyperband")
    for number in range(40):
        train(scheduler, trial_of(number), 0.9)
    epochs = {number: train(scheduler, trial_of(number), 0.5) for number in range(40, 60)}
    first_rung = [1, 3, EPOCHS]
    assert {number: first_rung[bracket_of(number, 3, 3)] for number in epochs} == epochs
